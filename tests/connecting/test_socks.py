"""The client's end of SOCKS5 (RFC 1928, RFC 1929)."""

from __future__ import annotations

import pytest

from faye_ws import ConnectionFailed, HandshakeError
from faye_ws.connecting.socks import SocksTunnel
from support.streams import Cut

CONNECTED = b"\x05\0\0\x01\x7f\0\0\x01\x1f\x90"


def talk(tunnel: SocksTunnel, answers: list[bytes], cut: Cut) -> list[bytes]:
    """Give a tunnel the proxy's answers, and return what it says to them."""
    said = [tunnel.data_to_send()]
    for answer in answers:
        for piece in cut(answer):
            tunnel.receive_data(piece)
        said.append(tunnel.data_to_send())
    return said


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", b"\x01\x7f\0\0\x01"),
        ("::1", b"\x04" + bytes(15) + b"\x01"),
        ("fe80::1%eth0", b"\x04\xfe\x80" + bytes(13) + b"\x01"),
        ("example.com", b"\x03\x0bexample.com"),
        ("x" * 255, b"\x03\xff" + b"x" * 255),
    ],
)
def test_it_asks_for_a_host(host: str, address: bytes, cut: Cut) -> None:
    tunnel = SocksTunnel(host, 8080)
    said = talk(tunnel, [b"\x05\0", CONNECTED], cut)
    assert said == [b"\x05\x01\0", b"\x05\x01\0" + address + b"\x1f\x90", b""]
    assert tunnel.is_open


@pytest.mark.parametrize(
    "address",
    [
        b"\x01" + bytes(4),
        b"\x04" + bytes(16),
        b"\x03\0",
        b"\x03\x0bexample.com",
        b"\x03\xff" + bytes(255),
    ],
)
def test_the_answer_may_have_any_address(address: bytes, cut: Cut) -> None:
    tunnel = SocksTunnel("h", 80)
    answer = b"\x05\0\0" + address + b"\0\x50"
    talk(tunnel, [b"\x05\0", answer[:-1]], cut)
    assert not tunnel.is_open
    tunnel.receive_data(answer[-1:])
    assert tunnel.is_open


def test_credentials_are_told_to_a_proxy_that_asks_for_them(cut: Cut) -> None:
    tunnel = SocksTunnel("h", 80, "us\u00e9r", "p@ss")
    said = talk(tunnel, [b"\x05\x02", b"\x01\0", CONNECTED], cut)
    assert said == [
        b"\x05\x02\0\x02",
        b"\x01\x05us\xc3\xa9r\x04p@ss",
        b"\x05\x01\0\x03\x01h\0\x50",
        b"",
    ]
    assert tunnel.is_open


def test_credentials_are_kept_from_a_proxy_that_does_not_ask(cut: Cut) -> None:
    tunnel = SocksTunnel("h", 80, "user", "secret")
    said = talk(tunnel, [b"\x05\0", CONNECTED], cut)
    assert b"secret" not in b"".join(said)
    assert tunnel.is_open


def test_a_password_may_be_empty_and_both_may_have_255_bytes() -> None:
    for name, password in (("u", None), ("u", ""), ("x" * 255, "\u00e9" * 127 + "x")):
        tunnel = SocksTunnel("h", 80, name, password)
        said = talk(tunnel, [b"\x05\x02"], lambda data: [data])
        word = (password or "").encode()
        assert said[1] == b"\x01" + bytes((len(name),)) + name.encode() + bytes((len(word),)) + word


@pytest.mark.parametrize(
    ("host", "username", "password"),
    [("x" * 256, None, None), ("h", "", ""), ("h", "x" * 256, ""), ("h", "u", "\u00e9" * 128)],
)
def test_what_has_no_place_in_its_messages_is_refused(
    host: str, username: str | None, password: str | None
) -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        SocksTunnel(host, 80, username, password)


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ([b"\x04\0"], HandshakeError, "does not speak SOCKS5"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], HandshakeError, "does not speak SOCKS5"),
        ([b"\x05\xff"], HandshakeError, "wants other credentials"),
        ([b"\x05\x01"], HandshakeError, "a method that was not offered: 1"),
        ([b"\x05\x02", b"\x01\x01"], HandshakeError, "refuses the username or the password"),
        ([b"\x05\0", b"\x04\0"], HandshakeError, "does not speak SOCKS5"),
        ([b"\x05\0", b"\x05\x01"], ConnectionFailed, "can't connect to h:80: general failure"),
        ([b"\x05\0", b"\x05\x05"], ConnectionFailed, "can't connect to h:80: connection refused"),
        ([b"\x05\0", b"\x05\x09"], ConnectionFailed, "can't connect to h:80: reply 9"),
        ([b"\x05\0", b"\x05\0\0\x02"], HandshakeError, "an address of no known type: 2"),
        ([b"\x05\0", CONNECTED + b"x"], HandshakeError, "more than its answer"),
        ([b"\x05\0", b""], ConnectionFailed, "closed the connection"),
    ],
)
def test_a_proxy_that_does_not_do_it_is_an_error_that_says_why(
    answers: list[bytes], error: type[Exception], sentence: str
) -> None:
    tunnel = SocksTunnel("h", 80, "u", "p")
    with pytest.raises(error, match=sentence):
        talk(tunnel, answers, lambda data: [data])
    assert not tunnel.is_open or "more" in sentence


def test_a_method_that_needs_credentials_is_not_offered_without_them() -> None:
    tunnel = SocksTunnel("h", 80)
    with pytest.raises(HandshakeError, match="was not offered: 2"):
        talk(tunnel, [b"\x05\x02"], lambda data: [data])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        # RFC 1928, 6.
        (1, "general failure"),
        (2, "not allowed by its rules"),
        (3, "network unreachable"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (6, "TTL expired"),
        (7, "it knows no CONNECT"),
        (8, "it knows no such addresses"),
        (9, "reply 9"),
        (255, "reply 255"),
    ],
)
def test_why_a_proxy_has_not_connected_is_told(reply: int, reason: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        talk(SocksTunnel("::1", 80), [b"\x05\0", bytes((5, reply))], lambda data: [data])
    assert str(caught.value) == f"the proxy can't connect to [::1]:80: {reason}"
