"""Connections of hixie-75 and hixie-76, as the application has them."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from faye_ws import ConnectionClosed, ReadyState, WebSocket, broadcast
from faye_ws.runtime.reactor import current_reactor
from faye_ws.websocket.phase import LIMITS, Phase
from support import drafts, serving
from support.drafts import DRAFTS, HIXIE_75, HIXIE_76, VERSIONS, text
from support.serving import DEADLINE, Serving, wait_for
from support.streams import CUTS, Cut

connect = serving.connect


@pytest.fixture(params=DRAFTS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def dial(connect: Serving, version: str, path: str, **options: Any) -> drafts.Client:
    return drafts.Client(connect.dial().socket, version, "localhost", path, **options)


def open_both(
    connect: Serving, version: str, accept: Any = None, **options: Any
) -> tuple[WebSocket, drafts.Client]:
    path = connect.expect(accept, versions=VERSIONS, **options)
    client = dial(connect, version, path)
    client.open()
    return connect.accepted(path), client


def echo(ws: WebSocket) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def test_a_conversation(connect: Serving, version: str, cut: Cut) -> None:
    heard: list[Any] = []

    def accept(ws: WebSocket) -> None:
        echo(ws)
        ws.on("open", lambda event: heard.append("open"))
        ws.on("close", lambda event: heard.append((event.code, event.reason, event.was_clean)))

    path = connect.expect(accept, versions=VERSIONS, protocols=["chat", "irc"])
    client = dial(connect, version, path, protocol="irc")
    client.open(cut, early=text("early"))
    ws = connect.accepted(path)
    assert client.read_text() == "early"
    for message in ("", "héllo", "𝄞" * 3000):
        client.send(text(message), cut if len(message) < 100 else CUTS["whole"])
        assert client.read_text() == message
    assert (ws.version, ws.protocol, ws.extensions) == (version, "irc", "")
    assert ws.url == f"ws://localhost{path}"
    client.close()
    assert ws.wait_closed(DEADLINE).was_clean
    assert heard == ["open", (1005, "", True)]


def test_iteration_ends_with_the_connection(connect: Serving, version: str) -> None:
    ws, client = open_both(connect, version)
    client.send(text("one") + text("two"))
    closing = gevent.spawn(client.close)
    assert list(ws) == ["one", "two"]
    closing.get()


def test_our_close_ends_it(connect: Serving, version: str) -> None:
    ws, client = open_both(connect, version)
    ws.close(4000, "enough")
    client.be_closed()
    close = ws.wait_closed(DEADLINE)
    assert (close.code, close.was_clean) == (1005, True)


def test_a_peer_that_is_gone_is_1006(connect: Serving) -> None:
    ws, client = open_both(connect, HIXIE_76)
    client.socket.close()
    with pytest.raises(ConnectionClosed) as raised:
        ws.receive(DEADLINE)
    assert (raised.value.code, raised.value.was_clean) == (1006, False)


def test_what_is_sent_before_the_last_key_goes_out_after_it(connect: Serving) -> None:
    opened: list[Any] = []
    ends: list[WebSocket] = []

    def accept(ws: WebSocket) -> None:
        ends.append(ws)
        ws.on("open", opened.append)
        assert ws.send("before the response")
        assert not ws.send(b"binary")
        assert not ws.ping()

    path = connect.expect(accept, versions=VERSIONS)
    client = dial(connect, HIXIE_76, path)
    client.send(client.request)
    client.read_answer()
    [ws] = ends
    gevent.sleep(0.02)
    assert ws.ready_state is ReadyState.CONNECTING
    assert not opened
    assert ws.send("after the head")
    assert not ws.send(b"binary")
    assert not ws.ping()
    assert broadcast([ws], "to all") == 1
    assert broadcast([ws], b"binary to all") == 0
    ws.close()
    for place in range(8):
        client.send(client.last_key[place : place + 1])
    client.take(16)
    assert [client.read_text() for _ in range(3)] == [
        "before the response",
        "after the head",
        "to all",
    ]
    assert client.take(2) == drafts.CLOSING
    assert opened


def test_a_last_key_that_does_not_come_ends_the_connection(
    connect: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, Phase.OPENING, 0.1)
    path = connect.expect(versions=VERSIONS)
    client = dial(connect, HIXIE_76, path)
    client.send(client.request + client.last_key[:7])
    client.read_answer()
    assert client.read_to_end() == b""
    assert connect.accepted(path).wait_closed(DEADLINE).code == 1006


def test_a_last_key_that_has_come_in_time_ends_the_wait(connect: Serving) -> None:
    ws, client = open_both(connect, HIXIE_76, echo)
    wait_for(lambda: ws.ready_state is ReadyState.OPEN, "it is open")
    assert current_reactor().heartbeat._order == []
    client.send(text("still here"))
    assert client.read_text() == "still here"


def test_there_is_nothing_but_text(connect: Serving, version: str) -> None:
    ws, client = open_both(connect, version)
    wait_for(lambda: ws.ready_state is ReadyState.OPEN, "it is open")
    assert not ws.send(b"binary")
    assert not ws.ping("hello", lambda: pytest.fail("there are no pongs"))
    with pytest.raises(ValueError, match="125"):
        ws.ping(bytes(126))
    assert broadcast([ws], b"binary") == 0
    assert broadcast([ws], "text") == 1
    assert client.read_text() == "text"
    assert ws.send("end")
    assert client.read_text() == "end"


def test_one_broadcast_reaches_all_versions(connect: Serving) -> None:
    pairs = [open_both(connect, version) for version in DRAFTS]
    ws, peer = connect()
    ends = [ws, *(end for end, _ in pairs)]
    wait_for(lambda: all(end.ready_state is ReadyState.OPEN for end in ends), "all are open")
    assert broadcast(ends, "to all") == 3
    assert [client.read_text() for _, client in pairs] == ["to all"] * 2
    assert peer.read_text() == "to all"
    assert broadcast(ends, b"binary") == 1


def test_silence_is_no_fault_where_there_are_no_pings(connect: Serving, version: str) -> None:
    _, client = open_both(connect, version, echo, ping=0.05, ping_timeout=0.05)
    gevent.sleep(0.6)
    client.send(text("still here"))
    assert client.read_text() == "still here"


def test_a_message_over_the_limit_ends_it(connect: Serving, version: str) -> None:
    errors: list[Any] = []
    ws, client = open_both(connect, version, lambda ws: ws.on("error", errors.append), max_length=9)
    client.send(text("ten bytes!"))
    assert ws.wait_closed(DEADLINE).code == 1009
    assert client.read_to_end() == (drafts.CLOSING if version == HIXIE_76 else b"")
    assert "over the limit" in str(errors[0].error)


def test_a_listener_that_raises_closes(connect: Serving, version: str) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: 1 / 0)

    ws, client = open_both(connect, version, accept)
    client.send(text("please fail"))
    client.be_closed()
    ws.wait_closed(DEADLINE)


def test_drafts_are_refused_unless_they_are_asked_for(connect: Serving, version: str) -> None:
    path = connect.expect()
    client = dial(connect, version, path)
    client.send(client.request + client.last_key)
    answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert version.encode() in answer.partition(b"\r\n\r\n")[2]


def test_a_wrong_key_is_a_400(connect: Serving) -> None:
    path = connect.expect(versions=VERSIONS)
    client = dial(connect, HIXIE_76, path)
    lines = client.request.split(b"\r\n")
    client.send(b"\r\n".join(line for line in lines if b"Key1" not in line) + client.last_key)
    answer = client.read_to_end()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"there must be one Sec-WebSocket-Key1" in answer


def test_a_location_says_wss_behind_a_proxy_that_speaks_tls(connect: Serving) -> None:
    path = connect.expect(versions=VERSIONS, environ={"HTTP_X_FORWARDED_PROTO": "https"})
    dial(connect, HIXIE_75, path, is_secure=True).open()
