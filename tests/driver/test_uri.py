"""WebSocket URIs (RFC 6455, 3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.driver.uri import Address, parse_url


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("ws://example.com", Address(False, "example.com", 80, "/"), "example.com"),
        ("ws://example.com/", Address(False, "example.com", 80, "/"), "example.com"),
        ("wss://example.com/", Address(True, "example.com", 443, "/"), "example.com"),
        ("ws://example.com:80/", Address(False, "example.com", 80, "/"), "example.com"),
        ("wss://example.com:443", Address(True, "example.com", 443, "/"), "example.com"),
        ("ws://example.com:443/", Address(False, "example.com", 443, "/"), "example.com:443"),
        ("wss://example.com:80/", Address(True, "example.com", 80, "/"), "example.com:80"),
        ("ws://example.com:/", Address(False, "example.com", 80, "/"), "example.com"),
        ("WSS://Example.COM/Path", Address(True, "example.com", 443, "/Path"), "example.com"),
        ("ws://localhost:8000/a/b", Address(False, "localhost", 8000, "/a/b"), "localhost:8000"),
        ("ws://h/a?b=c&d=/?", Address(False, "h", 80, "/a?b=c&d=/?"), "h"),
        ("ws://h?b=c", Address(False, "h", 80, "/?b=c"), "h"),
        ("ws://h/a;b=c", Address(False, "h", 80, "/a;b=c"), "h"),
        ("ws://h/%C3%BC%23?%20", Address(False, "h", 80, "/%C3%BC%23?%20"), "h"),
        ("ws://h//a//", Address(False, "h", 80, "//a//"), "h"),
        ("ws://127.0.0.1:8000/", Address(False, "127.0.0.1", 8000, "/"), "127.0.0.1:8000"),
        ("ws://[::1]/", Address(False, "::1", 80, "/"), "[::1]"),
        ("wss://[2001:DB8::]:8443/", Address(True, "2001:db8::", 8443, "/"), "[2001:db8::]:8443"),
        ("http://h/", Address(False, "h", 80, "/"), "h"),
        ("https://h/", Address(True, "h", 443, "/"), "h"),
        ("ws://h/?", Address(False, "h", 80, "/?"), "h"),
        ("ws://h/a b?c d", Address(False, "h", 80, "/a%20b?c%20d"), "h"),
        ("ws://h/\u00fc?\u00fc", Address(False, "h", 80, "/%C3%BC?%C3%BC"), "h"),
        (
            "ws://b\u00fccher.example/",
            Address(False, "xn--bcher-kva.example", 80, "/"),
            "xn--bcher-kva.example",
        ),
        (
            "ws://[fe80::1%25eth0]:8000/",
            Address(False, "fe80::1%eth0", 8000, "/"),
            "[fe80::1]:8000",
        ),
    ],
)
def test_a_url_says_where_to_connect_and_what_to_ask_for(
    url: str, address: Address, authority: str
) -> None:
    assert parse_url(url) == address
    assert parse_url(url).authority == authority


@pytest.mark.parametrize(
    "url",
    ["ftp://h/", "wsss://h/", "h", "//h/", "/path", "", "ws", "file:///etc/passwd", "w s://h/"],
)
def test_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a ws or wss URL"):
        parse_url(url)


@pytest.mark.parametrize("url", ["ws:///x", "ws:h", "ws://", "ws://:80/", "ws://@/", "ws://?x"])
def test_a_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="without a host"):
        parse_url(url)


@pytest.mark.parametrize("url", ["ws://h/#a", "ws://h/#", "ws://h#", "ws://h/?a#b"])
def test_a_fragment_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="fragment"):
        parse_url(url)


@pytest.mark.parametrize("port", ["65536", "99999", "-1", "x", "+80", "0x50"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ort"):
        parse_url(f"ws://h:{port}/")


@pytest.mark.parametrize(
    ("url", "authorization"),
    [
        ("ws://user:secret@h/", "Basic dXNlcjpzZWNyZXQ="),
        ("ws://us%20er:p%40ss%3A@h/", "Basic dXMgZXI6cEBzczo="),
        ("ws://user@h/", "Basic dXNlcjo="),
        ("ws://%C3%BC:x@h/", "Basic w7w6eA=="),
        ("ws://h/", None),
    ],
)
def test_credentials_are_decoded_and_left_out_of_the_url(
    url: str, authorization: str | None
) -> None:
    address = parse_url(url)
    assert address.authorization == authorization
    assert address.url == "ws://h/"


@pytest.mark.parametrize(
    "url",
    [
        "ws://h/a\r\nX: y",
        "ws://h/\0",
        "ws://h/a\tb",
        "ws://h/\x7f",
        " ws://h/",
        "ws://h/ ",
        "ws://h\n/",
    ],
)
def test_what_no_url_can_have_is_refused_and_not_left_out(url: str) -> None:
    with pytest.raises(ValueError, match="can't be in one"):
        parse_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "a b",
        "a\\b",
        "%41",
        "\u00a8",
        "a,b",
        "a..b",
        ".a",
        ".",
        "a..",
        "\u00fc..b",
        "x" * 64,
        f"a.{'x' * 70}.b",
        "\u00fc" * 64,
        ".".join(["x" * 63] * 4),
        ".".join(["x" * 63] * 3 + ["x" * 62]),
    ],
)
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not the name of a host"):
        parse_url(f"ws://{host}/")


@pytest.mark.parametrize(
    "host", ["a.", "a_b", "x" * 63, ".".join(["x" * 63] * 3 + ["x" * 61]) + "."]
)
def test_a_name_may_be_as_long_as_the_dns_has_them(host: str) -> None:
    assert parse_url(f"ws://{host}/").host == host


@pytest.mark.parametrize("url", ["ws://[::1]x/", "ws://[v1.a]/", "ws://[1.2.3.4]/", "ws://[]/"])
def test_what_is_no_ipv6_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_url(url)


@pytest.mark.parametrize("url", ["ws://[::1/", "ws://::1]/"])
def test_brackets_that_do_not_match_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="IPv6"):
        parse_url(url)


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=40))
def test_any_text_behind_the_scheme_gives_one_line_or_a_value_error(text: str) -> None:
    try:
        address = parse_url("ws://" + text)
    except ValueError:
        return
    line = f"{address.host} {address.target} {address.authority}"
    assert line.isascii()
    assert line.isprintable()
    assert line.count(" ") == 2
    assert 0 <= address.port <= 65535


@pytest.mark.parametrize("url", [None, b"ws://h/", 1])
def test_what_is_no_string_is_no_url(url: Any) -> None:
    with pytest.raises(TypeError, match=f"must be a str, not {type(url).__name__}"):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        ("ws://h/other?query", True),
        ("http://h/", True),
        ("ws://u:p@h:80/", True),
        ("ws://H/", True),
        ("wss://h:80/", False),
        ("ws://h:81/", False),
        ("ws://g/", False),
    ],
)
def test_urls_of_one_scheme_host_and_port_are_of_one_origin(url: str, is_same: bool) -> None:
    assert (parse_url(url).origin == parse_url("ws://h/").origin) is is_same


def test_a_name_is_the_same_in_any_case() -> None:
    # A way through urllib, which lowers names, is not the only one to an address.
    assert (
        Address(False, "H.Example", 80, "/").origin == Address(False, "h.example", 80, "/").origin
    )
