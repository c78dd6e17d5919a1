"""The client's end of CONNECT (RFC 9110, 9.3.6)."""

from __future__ import annotations

import pytest

from faye_ws import ConnectionFailed, HandshakeError, InvalidStatus
from faye_ws.constants import MAX_HEAD_LENGTH
from faye_ws.driver.proxy import Tunnel
from streams import Cut

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def give(tunnel: Tunnel, data: bytes, cut: Cut) -> None:
    for piece in filter(None, cut(data)):
        tunnel.receive_data(piece)


def test_it_asks_once() -> None:
    tunnel = Tunnel("h", 80, "Basic dTpw", {"User-Agent": "mine"})
    assert tunnel.data_to_send() == (
        b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nProxy-Authorization: Basic dTpw\r\n"
        b"User-Agent: mine\r\n\r\n"
    )
    assert tunnel.data_to_send() == b""
    assert Tunnel("::1", 80).data_to_send().startswith(b"CONNECT [::1]:80 HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [b"200", b"204", b"299"])
@pytest.mark.parametrize("interim", [b"", INTERIM, INTERIM * 10])
def test_a_proxy_agrees_with_any_success(status: bytes, interim: bytes, cut: Cut) -> None:
    tunnel = Tunnel("h", 80)
    give(tunnel, interim, cut)
    assert not tunnel.is_open
    give(tunnel, OPEN.replace(b"200", status), cut)
    assert tunnel.is_open


@pytest.mark.parametrize("status", [101, 300, 407, 502])
def test_any_other_final_status_is_a_refusal(status: int, cut: Cut) -> None:
    tunnel = Tunnel("h", 80)
    with pytest.raises(InvalidStatus) as raised:
        give(tunnel, INTERIM + OPEN.replace(b"200", str(status).encode()), cut)
    assert raised.value.status == status


def test_interim_responses_without_an_end_are_given_up(cut: Cut) -> None:
    tunnel = Tunnel("h", 80)
    with pytest.raises(HandshakeError, match="does not come to its answer"):
        give(tunnel, INTERIM * (MAX_HEAD_LENGTH // len(INTERIM) + 1), cut)


def test_a_head_without_an_end_is_given_up() -> None:
    with pytest.raises(HandshakeError, match="a head of more than"):
        Tunnel("h", 80).receive_data(b"x" * MAX_HEAD_LENGTH)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(OPEN + b"x", HandshakeError), (b"nonsense\r\n\r\n", HandshakeError), (b"", ConnectionFailed)],
)
def test_what_is_no_answer_is_an_error(answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Tunnel("h", 80).receive_data(answer)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding"])
def test_a_header_of_the_request_itself_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Tunnel("h", 80, None, {name: "x"})
