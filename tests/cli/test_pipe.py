"""The command line between other programs."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import gevent
import pytest

from support.certificates import Certificates
from support.command_line import COMMAND, run
from support.redirecting import context_of, redirecting, serve


def test_each_line_is_a_message_and_each_message_a_line(url: str) -> None:
    lines = "one\n\n  two  \nüñí 🚀\nno end of line"
    assert run(url, input=lines) == (0, lines + "\n", "")


def test_lines_may_end_as_elsewhere_and_need_not_be_utf_8(url: str) -> None:
    assert run(url, input=b"a\r\nb\xff\n") == (0, "a\nb\ufffd\n", "")


def test_no_line_is_lost_however_many_there_are(url: str) -> None:
    lines = "".join(f"{number} {'x' * (number % 500)}\n" for number in range(20000))
    assert run(url, input=lines) == (0, lines, "")


def test_a_line_of_megabytes_passes(url: str) -> None:
    line = "x" * 5_000_000 + "\n"
    assert run(url, input=line) == (0, line, "")


def test_an_empty_input_opens_and_closes(url: str) -> None:
    assert run(url) == (0, "", "")


def test_what_is_answered_late_is_still_shown(url: str) -> None:
    assert run(f"{url}/later", input="a\nb\n") == (0, "a\nb\n", "")


def test_binary_messages_are_hexadecimal_both_ways(url: str) -> None:
    assert run("-b", url, input="00ff\n\nDE AD\n") == (0, "00ff\n\ndead\n", "")
    status, output, errors = run("--binary", url, input="00f\n01\n")
    assert (status, output) == (0, "01\n")
    assert errors == "faye-ws: not hexadecimal: '00f'\n"


def test_a_count_of_messages_ends_it(url: str) -> None:
    numbers = "".join(f"{number}\n" for number in range(5))
    assert run("--count", "5", f"{url}/count") == (0, numbers, "")
    assert run("-c", "2", url, input="a\nb\nc\n") == (0, "a\nb\n", "")


def test_listening_reads_no_input(url: str) -> None:
    target = f'{url}/close?[4001,"bye"]'
    assert run("--listen", target, input="never sent") == (4, "", "faye-ws: closed: 4001 bye\n")


@pytest.mark.parametrize(
    ("query", "status", "errors"),
    [
        ("[1000]", 0, ""),
        ("[1001]", 0, ""),
        ("[1011]", 4, "faye-ws: closed: 1011\n"),
        ('[3000,"so"]', 4, "faye-ws: closed: 3000 so\n"),
    ],
)
def test_the_exit_status_follows_the_close_code(
    url: str, query: str, status: int, errors: str
) -> None:
    assert run("-l", f"{url}/close?{query}") == (status, "", errors)


def test_a_lost_connection_has_a_status_of_its_own(url: str) -> None:
    assert run("-c", "1", url, input="lose\n") == (3, "", "faye-ws: closed: 1006\n")


def test_what_can_not_be_opened_is_one_line_that_says_why(url: str) -> None:
    status, output, errors = run(f"{url}/refuse")
    assert (status, output) == (1, "")
    assert errors == "faye-ws: the server answered 403 Forbidden: no entry\n"
    status, output, errors = run("ws://127.0.0.1:1/")
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "refused" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ftp://localhost"],
        ["ws://localhost/#x"],
        ["--what", "ws://localhost"],
        ["-c", "0", "ws://localhost"],
        ["-c", "x", "ws://localhost"],
        ["--ping", "0", "ws://localhost"],
        ["-H", "no colon", "ws://localhost"],
        ["-H", "a b: c", "ws://localhost"],
        ["-p", "a b", "ws://localhost"],
        ["--ca", "/no/such/file", "wss://localhost"],
        ["--key", "x", "wss://localhost"],
        ["--proxy", "ftp://h", "wss://localhost"],
        ["--proxy", "http://h", "--no-proxy", "wss://localhost"],
        ["--redirects", "-1", "ws://localhost"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_has_the_status_2_and_no_traceback(arguments: list[str]) -> None:
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert errors.splitlines()[-1].startswith("faye-ws: ")
    assert "Traceback" not in errors


def test_the_handshake_is_what_the_options_make_it(url: str) -> None:
    options = ["-o", "https://example.com", "-H", "X-Name: a:b", "-H", "X-Other:c", "-z"]
    options += ["-p", "xmpp", "-p", "irc", "-c", "1"]
    status, output, _ = run(*options, f"{url}/request")
    assert status == 0
    *seen, extensions = json.loads(output)
    assert seen == ["https://example.com", "a:b", "c", "xmpp, irc"]
    assert extensions.startswith("permessage-deflate")


def test_verbose_tells_what_the_server_has_answered(url: str) -> None:
    _, _, errors = run("-v", "-p", "irc", url)
    assert errors.splitlines()[0] == f"{url}/: 101"
    assert "Sec-WebSocket-Protocol: irc" in errors


def test_certificates_redirects_and_proxies_are_options(certificates: Certificates) -> None:
    context = context_of(certificates.cert, certificates.key)
    for port in serve(redirecting, ssl_context=context):
        url = f"wss://localhost:{port}/302//there"
        status, output, _ = run_aside("-c", "1", "--ca", certificates.ca, "--redirects", "1", url)
        assert (status, output.strip()) == (0, "/there")
        url = f"wss://localhost:{port}/there"
        status, output, _ = run_aside("-c", "1", "--insecure", url)
        assert (status, output.strip()) == (0, "/there")
        status, _, errors = run_aside(url)
        assert status == 1
        assert "certificate verify failed" in errors
        proxies = {"https_proxy": "http://127.0.0.1:1"}
        assert run_aside("-c", "1", "--insecure", url, **proxies)[0] == 1
        assert run_aside("-c", "1", "--insecure", "--no-proxy", url, **proxies)[0] == 0
        assert run_aside("-c", "1", "--insecure", "--proxy", "http://127.0.0.1:1", url)[0] == 1


def run_aside(*arguments: str, **env: str) -> Any:
    """Run in a thread: the server is in the hub of this one."""
    return gevent.get_hub().threadpool.apply(run, arguments, env)


def test_a_reader_that_has_enough_ends_it_without_a_word(url: str) -> None:
    with subprocess.Popen(
        [*COMMAND, f"{url}/ticks", "--listen"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"tick\n"
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""


def test_an_interrupt_ends_it_without_a_traceback(url: str) -> None:
    with subprocess.Popen(
        [*COMMAND, f"{url}/ticks", "--listen"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"tick\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""


def test_the_help_and_the_version_are_there() -> None:
    status, output, errors = run("--help")
    assert (status, errors) == (0, "")
    for word in ("Exit status", "Examples", "--binary", "--proxy", "--ping", "hexadecimal"):
        assert word in output
    assert run("--version")[1].startswith("faye-ws ")
