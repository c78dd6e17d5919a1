"""One message to many connections: framed and compressed once, and never waiting."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

import faye_ws.driver.prepared
from faye_ws import EventSource, ReadyState, WebSocket, broadcast
from faye_ws.extensions import PermessageDeflate, deflate
from support import serving
from support.serving import DEADLINE, KERNEL_BUFFER, TEXT, Peer, Serving, handshake, wait_for

connect = serving.connect

OFFER = "permessage-deflate"
LINE = "the same line for everyone, and everyone has heard it before: " * 3


class Deflated:
    """Connections with permessage-deflate, and what their peers inflate with."""

    def __init__(self, connect: Serving) -> None:
        self._connect = connect

    def __call__(
        self, offer: str = OFFER, **options: Any
    ) -> tuple[WebSocket, Peer, PerMessageDeflate]:
        path = self._connect.expect(extensions=[PermessageDeflate(**options)])
        peer = self._connect.dial()
        peer.open(handshake(path, {"Sec-WebSocket-Extensions": offer}))
        ws = self._connect.accepted(path)
        assert ws.extensions.startswith(OFFER)
        forgets = "server_no_context_takeover" in ws.extensions
        return ws, peer, PerMessageDeflate(forgets, True, 15, 15)


@pytest.fixture
def deflated(connect: Serving) -> Deflated:
    return Deflated(connect)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often anything was compressed, and how often framed for several."""
    counted = {"compressed": 0, "framed": 0}

    def count(module: Any, name: str, what: str) -> None:
        function = getattr(module, name)

        def counting(*arguments: Any) -> Any:
            counted[what] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, counting)

    count(deflate, "_deflate", "compressed")
    count(faye_ws.driver.prepared, "serialize_frame", "framed")
    return counted


def read_inflated(peer: Peer, inflater: PerMessageDeflate) -> bytes:
    """Return the data of the next message, inflated if it has to be."""
    first, payload = peer.read_frame()
    opcode = Opcode(first & 0x0F)
    return bytes(inflater.decode(Frame(opcode, payload, rsv1=bool(first & 0x40))).data)


def fill(ws: WebSocket) -> None:
    """Make more wait for a peer that does not read than it may."""
    chunk = bytes(KERNEL_BUFFER)
    while ws.buffered_amount <= 1024:
        assert broadcast([ws], chunk) == 1


def test_every_peer_gets_the_message(connect: Serving) -> None:
    pairs = [connect() for _ in range(10)]
    assert broadcast([ws for ws, _ in pairs], "hello") == 10
    assert [peer.read_text() for _, peer in pairs] == ["hello"] * 10


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ("grüß", (0x81, "grüß".encode())),
        ("", (0x81, b"")),
        (b"\xff\0", (0x82, b"\xff\0")),
        (bytearray(b"\xff\0"), (0x82, b"\xff\0")),
        (memoryview(b"\xff\0"), (0x82, b"\xff\0")),
    ],
    ids=["text", "empty", "bytes", "bytearray", "memoryview"],
)
def test_a_message_is_text_or_binary(
    connect: Serving, message: Any, frame: tuple[int, bytes]
) -> None:
    ws, peer = connect()
    assert broadcast([ws], message) == 1
    assert peer.read_frame() == frame


@pytest.mark.parametrize("message", [None, 1, ["hello"], object()])
def test_what_is_no_message_is_sent_to_nobody(connect: Serving, message: Any) -> None:
    ws, peer = connect()
    with pytest.raises(TypeError, match="str or bytes"):
        broadcast([ws], message)
    with pytest.raises(ValueError, match="surrogate"):
        broadcast([ws], "\ud800")
    broadcast([ws], "hello")
    assert peer.read_text() == "hello"


def test_nobody_is_none(connect: Serving) -> None:
    assert broadcast([], "hello") == 0
    assert broadcast(iter(()), b"hello") == 0


def test_the_connections_may_come_from_anything_that_can_be_iterated(connect: Serving) -> None:
    pairs = [connect() for _ in range(3)]
    connections: Iterator[WebSocket] = (ws for ws, _ in pairs)
    assert broadcast(connections, "one") == 3
    assert broadcast({ws for ws, _ in pairs}, "two") == 3
    assert broadcast({ws: None for ws, _ in pairs}.keys(), "three") == 3
    for _, peer in pairs:
        assert [peer.read_text() for _ in range(3)] == ["one", "two", "three"]


def test_a_set_may_change_while_it_is_sent_to(connect: Serving) -> None:
    # A peer that is dropped is taken out of the set by its close listener, as is usual.
    members: set[WebSocket] = set()

    def join(ws: WebSocket) -> None:
        members.add(ws)
        ws.on("close", lambda event: members.discard(ws))

    pairs = [connect(join, max_backlog=1024) for _ in range(3)]
    fill(pairs[0][0])
    assert broadcast(members, "hello") == 2
    wait_for(lambda: len(members) == 2, "the dropped peer has left")
    assert [peer.read_text() for _, peer in pairs[1:]] == ["hello"] * 2


def test_a_message_is_framed_once(connect: Serving, counts: dict[str, int]) -> None:
    pairs = [connect() for _ in range(20)]
    assert broadcast([ws for ws, _ in pairs], LINE) == 20
    assert [peer.read_text() for _, peer in pairs] == [LINE] * 20
    assert counts == {"framed": 1, "compressed": 0}


def test_a_message_is_compressed_once(deflated: Deflated, counts: dict[str, int]) -> None:
    offers = [OFFER, f"{OFFER}; server_no_context_takeover", f"{OFFER}; client_max_window_bits"]
    members = [deflated(offer) for offer in offers * 5]
    assert broadcast([ws for ws, _, _ in members], LINE) == 15
    for _, peer, inflater in members:
        assert read_inflated(peer, inflater) == LINE.encode()
    assert counts == {"framed": 1, "compressed": 1}


def test_a_message_is_compressed_once_for_each_way_to_compress(
    connect: Serving, deflated: Deflated, counts: dict[str, int]
) -> None:
    ways = [deflated(), deflated(level=9), deflated(f"{OFFER}; server_max_window_bits=9")]
    ways += [deflated(), deflated(level=9), deflated(f"{OFFER}; server_max_window_bits=9")]
    plain = [connect() for _ in range(3)]
    members = [way[0] for way in ways] + [pair[0] for pair in plain]
    assert broadcast(members, LINE) == 9
    for _, peer, inflater in ways:
        assert read_inflated(peer, inflater) == LINE.encode()
    assert [peer.read_text() for _, peer in plain] == [LINE] * 3
    assert counts == {"framed": 4, "compressed": 3}


def test_a_message_below_min_size_is_compressed_for_nobody(
    deflated: Deflated, counts: dict[str, int]
) -> None:
    members = [deflated() for _ in range(3)]
    assert broadcast([ws for ws, _, _ in members], "short") == 3
    assert [peer.read_text() for _, peer, _ in members] == ["short"] * 3
    assert counts == {"framed": 1, "compressed": 0}


def test_broadcasts_and_messages_of_one_connection_can_be_read_in_any_order(
    deflated: Deflated,
) -> None:
    kept, forgetful = deflated(), deflated(f"{OFFER}; server_no_context_takeover")
    inflater = zlib.decompressobj(-15)
    for number in range(30):
        expected = []
        if number % 3:
            expected.append(f"{number} {LINE}")
            kept[0].send(expected[-1])
            forgetful[0].send(expected[-1])
        if number % 2:
            expected.append(LINE * number)
            assert broadcast([kept[0], forgetful[0]], expected[-1]) == 2
        for data in expected:
            first, payload = kept[1].read_frame()
            assert first == 0xC1
            assert kept[2].decode(Frame(Opcode.TEXT, payload, rsv1=True)).data == data.encode()
            assert inflater.decompress(payload + b"\0\0\xff\xff") == data.encode()
            assert read_inflated(forgetful[1], forgetful[2]) == data.encode()


# Who is not reached


@pytest.mark.parametrize("how", ["closing", "closed", "dropped"])
def test_those_that_are_going_or_gone_are_not_counted(connect: Serving, how: str) -> None:
    (going, going_peer), (ws, peer) = connect(), connect()
    going.close()
    if how == "closed":
        going_peer.send(serving.close())
        going.wait_closed(DEADLINE)
    elif how == "dropped":
        going_peer.reset()
        going.wait_closed(DEADLINE)
    assert broadcast([going, ws], "hello") == 1
    assert peer.read_text() == "hello"
    if how == "closing":
        assert going_peer.read_close() == (1000, "")


def test_those_that_are_not_open_yet_get_the_message_when_they_are(connect: Serving) -> None:
    reached = []

    def greet(ws: WebSocket) -> None:
        assert ws.ready_state is ReadyState.CONNECTING
        reached.append(broadcast([ws], "hello"))
        ws.send("and more")

    _, peer = connect(greet)
    assert peer.read_text() == "hello"
    assert peer.read_text() == "and more"
    assert reached == [1]


def test_those_that_are_closed_before_they_open_are_not_counted(connect: Serving) -> None:
    reached = []

    def refuse(ws: WebSocket) -> None:
        ws.close()
        reached.append(broadcast([ws], "hello"))

    _, peer = connect(refuse)
    assert peer.read_close() == (1000, "")
    assert reached == [0]


def test_a_slow_peer_is_dropped_and_the_others_do_not_wait_for_it(connect: Serving) -> None:
    slow, _ = connect(max_backlog=1024)
    ws, peer = connect(max_backlog=1024)
    fill(slow)
    assert slow.ready_state is ReadyState.OPEN
    with gevent.Timeout(DEADLINE):
        assert broadcast([slow, ws], "hello") == 1
    assert peer.read_text() == "hello"
    event = slow.wait_closed(DEADLINE)
    assert (event.code, event.was_clean) == (1006, False)
    assert broadcast([slow, ws], "again") == 1
    assert peer.read_text() == "again"


def test_a_broadcast_does_not_switch_to_another_greenlet(connect: Serving) -> None:
    slow, _ = connect(max_backlog=1024)
    ws, peer = connect()
    fill(slow)
    switched: list[bool] = []
    gevent.spawn(switched.append, True)
    assert broadcast([slow, ws], bytes(4 * KERNEL_BUFFER)) == 1
    assert switched == []
    assert peer.read_frame() == (0x82, bytes(4 * KERNEL_BUFFER))
    assert switched == [True]


def test_what_waits_for_a_peer_that_stays_within_its_bound_reaches_it(connect: Serving) -> None:
    ws, peer = connect(max_backlog=2**22)
    messages = [f"{number} " + "x" * KERNEL_BUFFER for number in range(30)]
    for message in messages:
        assert broadcast([ws], message) == 1
    assert ws.buffered_amount > 0
    assert [peer.read_text() for _ in messages] == messages


def test_a_paused_connection_is_sent_to(connect: Serving) -> None:
    ws, peer = connect()
    ws.pause()
    assert broadcast([ws], "hello") == 1
    assert peer.read_text() == "hello"
    ws.resume()


def test_a_listener_may_broadcast(connect: Serving) -> None:
    members: list[WebSocket] = []

    def join(ws: WebSocket) -> None:
        members.append(ws)
        ws.on("message", lambda event: broadcast(members, event.data))

    pairs = [connect(join) for _ in range(3)]
    for number, (_, peer) in enumerate(pairs):
        peer.send(serving.text(f"from {number}") * 2)
        for _, other in pairs:
            assert [other.read_text(), other.read_text()] == [f"from {number}"] * 2


def test_another_thread_may_broadcast(connect: Serving) -> None:
    pairs = [connect() for _ in range(5)]
    reached: list[int] = []
    thread = threading.Thread(
        target=lambda: reached.append(broadcast([ws for ws, _ in pairs], "hello"))
    )
    thread.start()
    assert [peer.read_frame() for _, peer in pairs] == [(TEXT, b"hello")] * 5
    thread.join(DEADLINE)
    assert reached == [5]


def test_an_extension_that_fails_costs_its_connection_only(
    connect: Serving, deflated: Deflated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> bytes:
        raise MemoryError("no luck")

    (broken, broken_peer, _), (ws, peer) = deflated(), connect()
    monkeypatch.setattr(deflate, "_deflate", fail)
    assert broadcast([broken, ws], LINE) == 1
    assert peer.read_text() == LINE
    assert broken_peer.read_close() == (1010, "permessage-deflate: no luck")


def test_an_event_stream_gets_an_event_and_nothing_binary() -> None:
    source = EventSource({"REQUEST_METHOD": "GET"}, ping=None, retry=None)
    assert broadcast([source], "news", event="tick", id=7) == 1
    with pytest.raises(TypeError, match="can't carry binary"):
        broadcast([source], b"news")
    source.close()
    body = source({"REQUEST_METHOD": "GET"}, lambda status, headers: None)
    assert b"event: tick\nid: 7\ndata: news\n\n" in b"".join(body)
    assert broadcast([source], "too late") == 0
