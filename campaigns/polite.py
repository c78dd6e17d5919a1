"""Peers that keep the rules, most of them with a real client. Each must be served.

Each is a function of an address, and raises if the server does not serve it as it should.
"""

from __future__ import annotations

import random
from itertools import islice

import httpx
import httpx_sse
import requests
import websocket
import websockets.sync.client

import faye_ws
from faye_ws.extensions import PermessageDeflate

from .wire import (
    BINARY,
    CONTINUATION,
    FIN,
    PATIENCE,
    PING,
    Address,
    Peer,
    close,
    frame,
    stream_request,
    text,
    trust_of,
)

ECHOES = ("/echo", "/loop", "/open")
MESSAGES: tuple[str | bytes, ...] = ("hi", b"bytes", "", "é" * 5_000, bytes(2**17))


def talks_in_bytes(address: Address) -> None:
    with Peer(address) as peer:
        # In the segment of the handshake, too.
        peer.open(random.choice(ECHOES), early=text("early"))
        assert peer.read_message() == b"early"
        peer.send(text("hello") * 20 + close(1000))
        assert [peer.read_message() for _ in range(20)] == [b"hello"] * 20
        assert peer.read_close() == 1000
        assert peer.read_to_end() == b""


def sends_fragments(address: Address) -> None:
    with Peer(address) as peer:
        peer.open(random.choice(ECHOES))
        peer.send(frame(BINARY, b"a"))
        for _ in range(100):
            peer.send(frame(CONTINUATION, b"") + frame(FIN | PING) + frame(CONTINUATION, b"bc"))
        peer.send(frame(FIN | CONTINUATION, b"d"))
        assert peer.read_message() == b"a" + b"bc" * 100 + b"d"
        peer.send(close(4000))
        assert peer.read_close() == 4000


def asks_for_a_page(address: Address) -> None:
    url = address.url("http", "/")
    with requests.get(url, verify=address.ca or True, timeout=PATIENCE) as response:
        assert response.text == "page\n"


def talks_in_the_room(address: Address) -> None:
    with Peer(address) as peer:
        peer.open("/room")
        mine = random.randbytes(8).hex()
        peer.send(text(mine))
        while peer.read_message() != mine.encode():
            """Others talk, too."""
        peer.send(close())
        assert peer.read_close() == 1000


def talks_with_faye_ws(address: Address) -> None:
    url = address.url("ws", random.choice(ECHOES))
    deflate = random.choice(([], [PermessageDeflate()]))
    with faye_ws.Client(url, ca=address.ca, proxy=False, extensions=deflate) as ws:
        for message in MESSAGES:
            ws.send(message)
            assert ws.receive(PATIENCE) == message


def talks_with_websockets(address: Address) -> None:
    with websockets.sync.client.connect(
        address.url("ws", random.choice(ECHOES)),
        ssl=trust_of(address.ca) if address.ca else None,
        compression=random.choice((None, "deflate")),
        open_timeout=PATIENCE,
        proxy=None,
    ) as ws:
        for message in MESSAGES:
            ws.send(message)
            assert ws.recv(PATIENCE) == message


def talks_with_websocket_client(address: Address) -> None:
    ws = websocket.create_connection(
        address.url("ws", random.choice(ECHOES)),
        timeout=PATIENCE,
        sslopt={"ca_certs": address.ca},
        suppress_origin=True,
        http_no_proxy=["localhost"],
    )
    try:
        for message in MESSAGES:
            if isinstance(message, str):
                ws.send(message)
            else:
                ws.send_binary(message)
            assert ws.recv() == message
    finally:
        ws.close()


def reads_a_stream_in_bytes(address: Address) -> None:
    with Peer(address) as peer:
        peer.ask(stream_request("/ticks"))
        data = b""
        while data.count(b"data: tick") < 3:
            data += peer.take(1)


def reads_a_stream_with_faye_ws(address: Address) -> None:
    url = address.url("http", "/ticks")
    with faye_ws.EventSource.Client(url, verify=address.ca or True) as es:
        assert [event.data for event in islice(es, 3)] == ["tick"] * 3


def reads_a_stream_with_requests(address: Address) -> None:
    with requests.get(
        address.url("http", "/ticks"),
        headers={"Accept": "text/event-stream"},
        stream=True,
        verify=address.ca or True,
        timeout=PATIENCE,
    ) as response:
        lines = (line for line in response.iter_lines(chunk_size=1) if line.startswith(b"data"))
        assert list(islice(lines, 3)) == [b"data: tick"] * 3


def reads_a_stream_with_httpx(address: Address) -> None:
    trust = trust_of(address.ca) if address.ca else False
    with (
        httpx.Client(verify=trust, timeout=PATIENCE, trust_env=False) as client,
        httpx_sse.connect_sse(client, "GET", address.url("http", "/ticks")) as source,
    ):
        # For httpx-sse what says when to retry is an event, too.
        data = (event.data for event in source.iter_sse() if event.data)
        assert list(islice(data, 3)) == ["tick"] * 3


BEHAVIOURS = (
    talks_in_bytes,
    sends_fragments,
    asks_for_a_page,
    talks_in_the_room,
    talks_with_faye_ws,
    talks_with_websockets,
    talks_with_websocket_client,
    reads_a_stream_in_bytes,
    reads_a_stream_with_faye_ws,
    reads_a_stream_with_requests,
    reads_a_stream_with_httpx,
)
