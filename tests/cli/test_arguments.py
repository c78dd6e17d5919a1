"""What the command line understands."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.cli import arguments
from faye_ws.cli.arguments import make_parser, parse_arguments
from faye_ws.cli.status import INCOMPLETE, MISUSED, OK


def parse(*given: str) -> Any:
    return parse_arguments(given, "1.2.3")


def refusal_of(*given: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Return what is said of a command line that is wrong."""
    with pytest.raises(SystemExit) as caught:
        parse(*given)
    assert caught.value.code == MISUSED
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("usage: faye-ws [options] URL\nfaye-ws: error: ")
    return errors.removesuffix("\n").rpartition("error: ")[2]


def test_a_url_is_enough() -> None:
    options = parse("ws://example.com/")
    assert options.url == "ws://example.com/"
    assert (options.count, options.wait, options.ping, options.timeout) == (None, None, None, 10.0)


def test_options_may_come_more_than_once() -> None:
    options = parse("-H", "A: b:c", "-H", "D:", "-p", "one", "-p", "two", "ws://example.com/")
    assert options.header == [("A", "b:c"), ("D", "")]
    assert options.protocol == ["one", "two"]


def test_numbers_are_numbers() -> None:
    options = parse("--count", "3", "--wait", "0.5", "--ping", "30", "ws://example.com/")
    assert (options.count, options.wait, options.ping) == (3, 0.5, 30.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--count", "0"], "argument -c/--count: must be at least 1: 0"),
        (["--count", "x"], "argument -c/--count: invalid _count value: 'x'"),
        (["--wait", "0"], "argument -w/--wait: must be a number of seconds above 0: 0"),
        (["--ping", "inf"], "argument --ping: must be a number of seconds above 0: inf"),
        (["--timeout", "nan"], "argument --timeout: must be a number of seconds above 0: nan"),
        (["-H", "A"], "argument -H/--header: must be 'NAME: VALUE': 'A'"),
        (["--proxy", "x", "--no-proxy"], "--proxy and --no-proxy contradict each other"),
        (["--key", "x"], "--key is nothing without --cert"),
        (["--verb"], "unrecognized arguments: --verb"),
    ],
)
def test_what_is_wrong_is_said(
    given: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refusal_of(*given, "ws://example.com/", capfd=capfd) == said


def test_the_url_is_needed(capfd: pytest.CaptureFixture[str]) -> None:
    assert "required: URL" in refusal_of(capfd=capfd)


@pytest.mark.parametrize(
    ("option", "printed"),
    [("--version", "faye-ws 1.2.3\n"), ("--help", make_parser("1.2.3").format_help())],
)
def test_help_and_version_are_printed(
    option: str, printed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(option)
    assert caught.value.code == OK
    assert capfd.readouterr() == (printed, "")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (BrokenPipeError(), OK, ""),
        (OSError("full"), INCOMPLETE, "faye-ws: can't write the output: full\n"),
    ],
)
def test_an_output_that_can_not_be_written_is_no_secret(
    error: OSError,
    status: int,
    said: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def write(self, text: str) -> None:
            raise error

    monkeypatch.setattr(arguments, "standard_output", Broken)
    with pytest.raises(SystemExit) as caught:
        parse("--version")
    assert caught.value.code == status
    assert capfd.readouterr() == ("", said)
