"""Asking a proxy for a tunnel: its answers, and how much of them is read."""

from __future__ import annotations

import pytest

from faye_ws.connecting.http_tunnel import HTTPTunnel
from faye_ws.errors import ConnectionFailed, HandshakeError, InvalidStatus
from support.streams import Cut

OPENING = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSAL = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9\r\n\r\nwho are y"


def feed(data: bytes, cut: Cut) -> HTTPTunnel:
    """Give a new tunnel the answer of its proxy."""
    tunnel = HTTPTunnel("server.example.com", 443)
    for piece in cut(data):
        tunnel.receive_data(piece)
    return tunnel


def test_it_asks_once() -> None:
    tunnel = HTTPTunnel("h", 80, "Basic dTpw", {"User-Agent": "mine"})
    assert tunnel.data_to_send() == (
        b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nProxy-Authorization: Basic dTpw\r\n"
        b"User-Agent: mine\r\n\r\n"
    )
    assert tunnel.data_to_send() == b""
    assert HTTPTunnel("::1", 80).data_to_send().startswith(b"CONNECT [::1]:80 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        OPENING,
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 299 \r\n\r\n",
        # RFC 9110, 9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding header
        # fields received in a successful response to CONNECT."
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OPENING,
        b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 16 + OPENING,
    ],
)
def test_the_tunnel_opens_with_the_last_byte_of_the_answer(cut: Cut, answer: bytes) -> None:
    assert not feed(answer[:-1], cut).is_open
    assert feed(answer, cut).is_open


@pytest.mark.parametrize(
    ("interim", "sentence"),
    [
        (b"HTTP/1.1 102 Processing\r\n\r\n", "more than 16 interim responses"),
        (b"HTTP/1.1 103 \r\nX: " + b"y" * 4000 + b"\r\n\r\n", "interim responses of more than"),
    ],
)
def test_interim_answers_that_do_not_end_are_refused(
    cut: Cut, interim: bytes, sentence: str
) -> None:
    with pytest.raises(HandshakeError, match=sentence):
        feed(interim * 17, cut)


@pytest.mark.parametrize("status", [b"101", b"300", b"302", b"403", b"407", b"502"])
def test_any_other_answer_is_a_refusal_with_its_status(cut: Cut, status: bytes) -> None:
    with pytest.raises(InvalidStatus, match="the proxy answered ") as caught:
        feed(b"HTTP/1.1 " + status + b" No\r\n\r\n", cut)
    assert caught.value.status == int(status)


def test_a_refusal_has_the_beginning_of_its_body(cut: Cut) -> None:
    assert not feed(REFUSAL[:-1], cut).is_open
    with pytest.raises(InvalidStatus, match="Required: who are y") as caught:
        feed(REFUSAL, cut)
    assert caught.value.body == b"who are y"
    tunnel = feed(REFUSAL[:-5], cut)
    with pytest.raises(InvalidStatus, match="Required: who"):
        tunnel.receive_data(b"")


def test_a_proxy_that_hangs_up_has_not_answered(cut: Cut) -> None:
    for end in (1, len(OPENING) - 1):
        tunnel = feed(OPENING[:end], cut)
        with pytest.raises(ConnectionFailed, match="the proxy closed"):
            tunnel.receive_data(b"")


def test_a_proxy_that_speaks_in_the_servers_place_is_refused() -> None:
    with pytest.raises(HandshakeError, match="more than its answer"):
        HTTPTunnel("h", 80).receive_data(OPENING + b"x")


def test_a_proxy_of_another_language_is_refused(cut: Cut) -> None:
    with pytest.raises(HandshakeError, match="not a version of HTTP"):
        feed(b"SSH-2.0-OpenSSH\r\n\r\n", cut)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding"])
def test_a_header_of_the_request_itself_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        HTTPTunnel("h", 80, None, {name: "x"})
