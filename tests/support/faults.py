"""What can go wrong with a connection: misfortunes, each made to happen to a server.

A misfortune opens its own connections, does not wait for the library to deal with what it
did, and leaves nothing of its own behind but peers, which the server hangs up in the end.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import gevent
from gevent import Timeout
from gevent.event import Event

from faye_ws import ConnectionClosed, MessageEvent, WebSocket, broadcast
from support import serving
from support.parts import endpoint_of, is_stalled
from support.serving import (
    BINARY,
    DEADLINE,
    PING,
    TEXT,
    Peer,
    Serving,
    close,
    frame,
    handshake,
    text,
    wait_for,
)

Misfortune = Callable[[Serving], None]

# More than the kernel and the backlog take.
FLOOD = bytes(2**20)

MISFORTUNES: dict[str, Misfortune] = {}

# How a peer leaves; half of them do not even say that they do.
_LEAVE = {"resets": Peer.reset, "hangs up": Peer.hang_up}
# What it had said before, after the handshake.
_MOMENTS = {
    "after the handshake": b"",
    "within a header": text("x" * 200)[:3],
    "within a payload": text("x" * 200)[:100],
    "within a message": frame(0x01, b"the first part"),
    "after a message": text("hello"),
    "after messages": text("hello") * 100,
    "after a ping": frame(PING, b"hello"),
    "after its close": close(),
    "after garbage": frame(0x83),
}


def _echo(ws: WebSocket) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def _add(misfortune: Misfortune) -> Misfortune:
    MISFORTUNES[misfortune.__name__.strip("_").replace("_", " ")] = misfortune
    return misfortune


def _add_departures() -> None:
    for way, leave in _LEAVE.items():
        for moment, said in _MOMENTS.items():

            def depart(
                connect: Serving, leave: Callable[[Peer], None] = leave, said: bytes = said
            ) -> None:
                _, peer = connect(_echo)
                peer.send(said)
                leave(peer)

            MISFORTUNES[f"a peer {way} {moment}"] = depart


_add_departures()


@_add
def _a_peer_says_nothing(connect: Serving) -> None:
    connect.dial()


@_add
def _a_handshake_stops_halfway(connect: Serving) -> None:
    peer = connect.dial()
    peer.send(handshake(connect.expect())[: random.randrange(1, 100)])
    if random.random() < 0.5:
        peer.reset()


@_add
def _a_handshake_comes_a_byte_at_a_time(connect: Serving) -> None:
    path = connect.expect(_echo)
    peer = connect.dial()
    for byte in handshake(path):
        peer.send(bytes((byte,)))
        if random.random() < 0.1:
            gevent.sleep(0)
    peer.open(b"")
    assert peer.echoes("slow")


@_add
def _a_handshake_is_refused(connect: Serving) -> None:
    peer = connect.dial()
    peer.open(handshake(connect.expect(_echo), {"Sec-WebSocket-Version": "12"}))


@_add
def _the_peer_resets_instead_of_reading_the_response(connect: Serving) -> None:
    peer = connect.dial()
    peer.send(handshake(connect.expect(_echo)) + text("hello"))
    peer.reset()


@_add
def _garbage_comes_instead_of_a_handshake(connect: Serving) -> None:
    peer = connect.dial()
    with contextlib.suppress(OSError):
        peer.send(random.randbytes(random.randrange(1, 1000)) + b"\r\n\r\n")


@_add
def _garbage_comes_behind_a_handshake(connect: Serving) -> None:
    connect(_echo, early=random.randbytes(random.randrange(1, 1000)))


@_add
def _garbage_comes_behind_a_close(connect: Serving) -> None:
    ws, peer = connect(_echo, close_timeout=0.2)
    ws.close()
    with contextlib.suppress(OSError):
        peer.send(random.randbytes(random.randrange(1, 1000)))


@_add
def _a_silent_peer_is_pinged(connect: Serving) -> None:
    connect(ping=0.1, ping_timeout=0.1)


@_add
def _a_peer_never_reads(connect: Serving) -> None:
    ws, _ = connect(ping=0.1, ping_timeout=0.1, max_backlog=1000)
    gevent.spawn(ws.send, FLOOD)


@_add
def _a_peer_resets_while_it_is_sent_to(connect: Serving) -> None:
    ws, peer = connect(max_backlog=1000)
    senders = [gevent.spawn(ws.send, FLOOD) for _ in range(3)]
    wait_for(lambda: endpoint_of(ws).is_congested or senders[-1].ready(), "the senders wait")
    peer.reset()


@_add
def _a_peer_never_answers_a_close(connect: Serving) -> None:
    ws, _ = connect(close_timeout=0.2)
    ws.close(4000)


@_add
def _a_peer_never_hangs_up(connect: Serving) -> None:
    _, peer = connect(close_timeout=0.2)
    peer.send(close())


@_add
def _a_peer_resets_while_we_close(connect: Serving) -> None:
    ws, peer = connect()
    ws.close()
    peer.reset()


@_add
def _a_flood_comes_that_nobody_reads(connect: Serving) -> None:
    ws, peer = connect()

    def flood() -> None:
        with contextlib.suppress(OSError):
            for _ in range(64):
                peer.send(frame(BINARY, bytes(2**16)))

    flooding = gevent.spawn(flood)
    wait_for(lambda: is_stalled(ws), "the peer has to wait")
    flooding.kill()
    peer.reset()
    ws.close()


def _raise(error: BaseException) -> None:
    raise error


@_add
def _a_listener_raises(connect: Serving) -> None:
    type = random.choice(["open", "message", "data", "end", "close"])
    _, peer = connect(lambda ws: ws.on(type, lambda event: _raise(ValueError("on purpose"))))
    with contextlib.suppress(OSError):
        peer.send(text("hello") + close())


@_add
def _a_listener_blocks_until_the_end(connect: Serving) -> None:
    _, peer = connect(lambda ws: ws.on("message", lambda event: ws.wait_closed()))
    peer.send(text("hello") * 3)
    gevent.sleep(0)
    peer.reset()


@_add
def _a_listener_blocks_beyond_the_end(connect: Serving) -> None:
    go_on = Event()
    ws, peer = connect(lambda ws: ws.on("message", lambda event: go_on.wait()))
    peer.send(text("hello") * 3 + close())

    def let_go_at_the_end() -> None:
        ws.wait_closed()
        go_on.set()

    gevent.spawn(let_go_at_the_end)


@_add
def _a_listener_is_killed(connect: Serving) -> None:
    blocked: list[Any] = []

    def block(event: MessageEvent) -> None:
        blocked.append(gevent.getcurrent())
        gevent.sleep(DEADLINE)

    _, peer = connect(lambda ws: ws.on("message", block))
    peer.send(text("hello"))
    wait_for(lambda: blocked, "the listener blocks")
    gevent.kill(blocked[0])


@_add
def _a_listener_closes(connect: Serving) -> None:
    _, peer = connect(lambda ws: ws.on("message", lambda event: ws.close(4000)), close_timeout=0.2)
    peer.send(text("hello") * 3)


@_add
def _a_listener_sends_to_others_that_have_gone(connect: Serving) -> None:
    others = [connect(_echo) for _ in range(3)]
    sockets = [ws for ws, _ in others]

    def send(event: MessageEvent) -> None:
        broadcast(sockets, FLOOD)
        for ws in sockets:
            ws.send("hello")

    _, peer = connect(lambda ws: ws.on("message", send))
    for _, other in others:
        other.reset()
    peer.send(text("hello"))


def _interrupt(connect: Serving, use: Callable[[WebSocket], object]) -> None:
    ws, peer = connect(max_backlog=1000)

    def time_out() -> None:
        with Timeout(0.02, False):  # type: ignore[arg-type]
            use(ws)

    greenlets: list[Any] = [gevent.spawn(time_out), gevent.spawn(use, ws)]
    gevent.sleep(0.01)
    greenlets[1].kill()
    greenlets[0].join()
    peer.send(close())


@_add
def _a_receive_is_interrupted(connect: Serving) -> None:
    _interrupt(connect, WebSocket.receive)


@_add
def _a_send_is_interrupted(connect: Serving) -> None:
    _interrupt(connect, lambda ws: ws.send(FLOOD))


@_add
def _a_wait_for_the_end_is_interrupted(connect: Serving) -> None:
    _interrupt(connect, WebSocket.wait_closed)


@_add
def _many_send_and_receive_as_the_peer_resets(connect: Serving) -> None:
    ws, peer = connect(max_backlog=1000)

    def work(number: int) -> None:
        with contextlib.suppress(ConnectionClosed):
            while ws.send(f"{number}" * 10_000):
                ws.receive()

    for number in range(10):
        gevent.spawn(work, number)
    gevent.sleep(0)
    peer.send(text("hello") * 5)
    gevent.sleep(0.001)
    peer.reset()


@_add
def _an_application_is_killed_as_it_receives(connect: Serving) -> None:
    greenlets: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        greenlets.append(gevent.getcurrent())
        return list(WebSocket(environ, close_timeout=0.2))

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))
    gevent.kill(greenlets[0])


@_add
def _an_application_returns_something_else(connect: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        ws = WebSocket(environ, close_timeout=0.2)
        ws.on("message", lambda event: None)
        with contextlib.suppress(TimeoutError):
            ws.receive(0.01)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"not a websocket"]

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))


@_add
def _an_application_forgets_its_connection(connect: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        WebSocket(environ, ping=1).send("never sent")
        start_response("204 No Content", [("Connection", "close")])
        return []

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))


@_add
def _a_connection_is_used_after_its_end(connect: Serving) -> None:
    ws, peer = connect(_echo)
    peer.reset()
    ws.wait_closed(DEADLINE)
    ws.send("no")
    ws.ping("no", lambda: None)
    ws.close()
    ws.pause()
    ws.resume()
    ws.end("no")
    ws.on("message", print)


@_add
def _all_is_well(connect: Serving) -> None:
    _, peer = connect(_echo, ping=1)
    assert peer.echoes("hello")
    peer.send(frame(TEXT, b"x" * 2**17))
    assert peer.read_text() == "x" * 2**17
    peer.send(close())
    assert peer.read_close() == (1000, "")
    assert peer.read_to_end() == b""
    peer.hang_up()


def next_message_is_served(connect: Serving) -> bool:
    """Tell whether another connection is served as if nothing had happened."""
    ws, peer = connect(_echo)
    served = peer.echoes("still there?")
    peer.send(serving.close())
    served = served and peer.read_close() == (1000, "")
    peer.hang_up()
    ws.wait_closed(DEADLINE)
    return served
