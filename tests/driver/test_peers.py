"""The drivers against others' protocols without I/O: websockets, and wsproto on h11.

Each conversation is moved by hand, cut anywhere, and has to be the same at both ends.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faye_ws.driver import Client, Close, Connect, Driver, Message, Open, Ping, Pong, Server
from faye_ws.extensions import PermessageDeflate
from support import wire
from support.roles import open_client, open_server
from support.streams import Cut, at, take, whole

websockets_client = pytest.importorskip("websockets.client")
websockets_extension = pytest.importorskip("websockets.extensions.permessage_deflate")
websockets_protocol = pytest.importorskip("websockets.protocol")
websockets_server = pytest.importorskip("websockets.server")
websockets_uri = pytest.importorskip("websockets.uri")
wsproto_connection = pytest.importorskip("wsproto.connection")
wsproto_events = pytest.importorskip("wsproto.events")

Said = tuple[str, Any]

# What one end says; to a message belong the places where a peer cuts it into fragments.
MESSAGES = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=300),
    st.sampled_from(["", b"", "x" * 126, b"\xff" * 65535, "\u20ac" * 30_000]),
)
SPEECH: st.SearchStrategy[list[tuple[Said, Cut]]] = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.just("message"), MESSAGES),
            st.tuples(st.just("ping"), st.binary(max_size=125)),
            st.tuples(st.just("pong"), st.binary(max_size=125)),
        ),
        st.lists(st.integers(0, 300), max_size=4).map(at),
    ),
    max_size=10,
)
CUTS = st.lists(st.integers(0, 2000), max_size=20).map(at)
GOODBYES = st.tuples(st.sampled_from([1000, 3000, 4999]), st.text(max_size=30))


class Peer(ABC):
    """Somebody else's end of an open connection."""

    @abstractmethod
    def __init__(self, is_server: bool) -> None: ...

    @abstractmethod
    def say(self, said: Said, cut: Cut) -> None:
        """Say something, a message in fragments."""

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""

    @abstractmethod
    def hear(self, pieces: Iterable[bytes]) -> list[Said]:
        """Take in pieces of a stream, and return what was said in it."""

    @abstractmethod
    def data_to_send(self) -> bytes:
        """Return the bytes to send, once."""


class Websockets(Peer):
    """The library websockets."""

    def __init__(self, is_server: bool) -> None:
        side = websockets_protocol.Side.SERVER if is_server else websockets_protocol.Side.CLIENT
        self._protocol = websockets_protocol.Protocol(side)
        self._fragments: list[Any] = []

    def say(self, said: Said, cut: Cut) -> None:
        kind, data = said
        if kind != "message":
            getattr(self._protocol, f"send_{kind}")(data)
            return
        fragments = list(cut(data.encode() if isinstance(data, str) else data))
        send = self._protocol.send_text if isinstance(data, str) else self._protocol.send_binary
        for place, fragment in enumerate(fragments):
            send(fragment, fin=place == len(fragments) - 1)
            send = self._protocol.send_continuation

    def close(self, code: int, reason: str) -> None:
        self._protocol.send_close(code, reason)

    def hear(self, pieces: Iterable[bytes]) -> list[Said]:
        for piece in pieces:
            self._protocol.receive_data(piece)
        assert self._protocol.parser_exc is None
        return [said for frame in self._protocol.events_received() for said in self._parse(frame)]

    def _parse(self, frame: Any) -> Iterable[Said]:
        name = frame.opcode.name
        if name in ("PING", "PONG"):
            yield name.lower(), bytes(frame.data)
        elif name == "CLOSE":
            close = self._protocol.close_rcvd
            yield "close", (int(close.code), close.reason)
        else:
            self._fragments.append(frame)
            if frame.fin:
                data = b"".join(bytes(part.data) for part in self._fragments)
                is_text = self._fragments[0].opcode.name == "TEXT"
                self._fragments = []
                yield "message", data.decode() if is_text else data

    def data_to_send(self) -> bytes:
        return b"".join(self._protocol.data_to_send())


class Wsproto(Peer):
    """The library wsproto, which leaves pongs and the answer to a close to its user."""

    def __init__(self, is_server: bool) -> None:
        kinds = wsproto_connection.ConnectionType
        self._connection = wsproto_connection.Connection(
            kinds.SERVER if is_server else kinds.CLIENT
        )
        self._output = b""
        self._message: Any = None

    def _send(self, event: Any) -> None:
        self._output += self._connection.send(event)

    def say(self, said: Said, cut: Cut) -> None:
        kind, data = said
        if kind != "message":
            make = wsproto_events.Ping if kind == "ping" else wsproto_events.Pong
            self._send(make(payload=data))
        elif isinstance(data, str):
            # Text can be cut between characters only.
            parts = [part.decode("utf-32-be") for part in fours(data.encode("utf-32-be"), cut)]
            self._say_parts(wsproto_events.TextMessage, parts)
        else:
            self._say_parts(wsproto_events.BytesMessage, list(cut(data)))

    def _say_parts(self, make: Any, parts: list[Any]) -> None:
        for place, part in enumerate(parts):
            self._send(make(data=part, message_finished=place == len(parts) - 1))

    def close(self, code: int, reason: str) -> None:
        self._send(wsproto_events.CloseConnection(code=code, reason=reason))

    def hear(self, pieces: Iterable[bytes]) -> list[Said]:
        heard: list[Said] = []
        for piece in pieces:
            self._connection.receive_data(piece)
            for event in self._connection.events():
                heard += self._parse(event)
        return heard

    def _parse(self, event: Any) -> Iterable[Said]:
        if isinstance(event, wsproto_events.Ping):
            self._send(event.response())
            yield "ping", bytes(event.payload)
        elif isinstance(event, wsproto_events.Pong):
            yield "pong", bytes(event.payload)
        elif isinstance(event, wsproto_events.CloseConnection):
            if self._connection.state is wsproto_connection.ConnectionState.REMOTE_CLOSING:
                self._send(event.response())
            yield "close", (int(event.code), event.reason or "")
        else:
            data = event.data if isinstance(event.data, str) else bytes(event.data)
            self._message = data if self._message is None else self._message + data
            if event.message_finished:
                message, self._message = self._message, None
                yield "message", message

    def data_to_send(self) -> bytes:
        output, self._output = self._output, b""
        return output


def fours(data: bytes, cut: Cut) -> list[bytes]:
    """Cut data between groups of four bytes."""
    lengths = [len(piece) for piece in cut(data[: len(data) // 4])]
    pieces, start = [], 0
    for length in lengths:
        pieces.append(data[start * 4 : (start + length) * 4])
        start += length
    return pieces


def hear(driver: Driver, pieces: Iterable[bytes]) -> list[Said]:
    """Give pieces of a stream to a driver, and return what was said in it."""
    heard: list[Said] = []
    for piece in pieces:
        driver.receive_data(piece)
        for event in take(driver):
            if isinstance(event, Message):
                heard.append(("message", event.data))
            elif isinstance(event, (Ping, Pong)):
                heard.append((type(event).__name__.lower(), event.data))
            else:
                assert isinstance(event, Close)
                assert event.was_clean
                heard.append(("close", (event.code, event.reason)))
    return heard


def say(driver: Driver, said: Said) -> None:
    """Say something through a driver."""
    kind, data = said
    if kind == "message":
        assert driver.text(data) if isinstance(data, str) else driver.binary(data)
    else:
        assert driver.ping(data) if kind == "ping" else driver.pong(data)


def pongs_for(speech: list[tuple[Said, Cut]]) -> list[Said]:
    """Return the pongs that answer the pings of a speech."""
    return [("pong", data) for (kind, data), _ in speech if kind == "ping"]


@pytest.mark.parametrize("make_peer", [Websockets, Wsproto])
@pytest.mark.parametrize("is_server", [True, False], ids=["as server", "as client"])
@given(ours=SPEECH, theirs=SPEECH, cut=CUTS, goodbye=GOODBYES, we_close=st.booleans())
def test_what_one_end_says_the_other_hears(
    make_peer: type[Peer],
    is_server: bool,
    ours: list[tuple[Said, Cut]],
    theirs: list[tuple[Said, Cut]],
    cut: Cut,
    goodbye: tuple[int, str],
    we_close: bool,
) -> None:
    driver = open_server() if is_server else open_client()
    peer = make_peer(not is_server)
    for said, _ in ours:
        say(driver, said)
    for said, fragments in theirs:
        peer.say(said, fragments)
    from_us, from_peer = driver.data_to_send(), peer.data_to_send()
    assert peer.hear(cut(from_us)) == [said for said, _ in ours]
    assert hear(driver, cut(from_peer)) == [said for said, _ in theirs]
    assert peer.hear(cut(driver.data_to_send())) == pongs_for(theirs)
    assert hear(driver, cut(peer.data_to_send())) == pongs_for(ours)
    if we_close:
        driver.close(*goodbye)
        assert peer.hear(cut(driver.data_to_send())) == [("close", goodbye)]
        assert hear(driver, cut(peer.data_to_send())) == [("close", goodbye)]
    else:
        peer.close(*goodbye)
        assert hear(driver, cut(peer.data_to_send())) == [("close", goodbye)]
        assert peer.hear(cut(driver.data_to_send())) == [("close", goodbye)]


EXTENSIONS = {"without extensions": False, "with permessage-deflate": True}


@pytest.mark.parametrize("deflated", EXTENSIONS.values(), ids=EXTENSIONS)
@settings(max_examples=20)
@given(cut=CUTS)
def test_our_client_shakes_hands_with_websockets(deflated: bool, cut: Cut) -> None:
    client = Client(
        "ws://h/chat", protocols=["b", "a"], extensions=[PermessageDeflate()] if deflated else []
    )
    client.start()
    server = websockets_server.ServerProtocol(
        subprotocols=["a"],
        extensions=[websockets_extension.ServerPerMessageDeflateFactory()],
    )
    for piece in cut(client.data_to_send()):
        server.receive_data(piece)
    [request] = server.events_received()
    assert (request.path, request.headers["Host"]) == ("/chat", "h")
    server.send_response(server.accept(request))
    server.send_text(b"Hello" * 50)
    events: list[Any] = []
    for piece in cut(b"".join(server.data_to_send())):
        client.receive_data(piece)
        events += take(client)
    assert events == [Open("a"), Message("Hello" * 50)]
    assert bool(client.extensions) is deflated
    client.text("Hello" * 50)
    data = client.data_to_send()
    assert (len(data) < 100) is deflated
    server.receive_data(data)
    assert [frame.data for frame in server.events_received()] == [b"Hello" * 50]


@pytest.mark.parametrize("deflated", EXTENSIONS.values(), ids=EXTENSIONS)
@settings(max_examples=20)
@given(cut=CUTS)
def test_our_server_shakes_hands_with_websockets(deflated: bool, cut: Cut) -> None:
    server = Server(protocols=["a"], extensions=[PermessageDeflate()] if deflated else [])
    client = websockets_client.ClientProtocol(
        websockets_uri.parse_uri("ws://h:8000/chat?x"),
        origin="http://h:8000",
        subprotocols=["b", "a"],
        extensions=[websockets_extension.ClientPerMessageDeflateFactory()],
    )
    client.send_request(client.connect())
    events: list[Any] = []
    for piece in cut(b"".join(client.data_to_send())):
        server.receive_data(piece)
        for event in take(server):
            assert isinstance(event, Connect)
            assert event.request.target == "/chat?x"
            assert server.start()
            events += take(server)
    assert events == [Open("a")]
    server.text("Hello" * 50)
    for piece in cut(server.data_to_send()):
        client.receive_data(piece)
    response, frame = client.events_received()
    assert client.handshake_exc is None
    assert response.status_code == 101
    assert client.subprotocol == "a"
    assert len(client.extensions) == deflated
    assert frame.data == b"Hello" * 50


@pytest.mark.parametrize("make_peer", [Websockets, Wsproto])
def test_a_peer_understands_why_it_was_failed(make_peer: type[Peer]) -> None:
    driver = open_server()
    driver.receive_data(wire.frame(0x83, b"", wire.KEY))
    take(driver)
    [(kind, (code, reason))] = make_peer(False).hear(whole(driver.data_to_send()))
    assert (kind, code) == ("close", 1002)
    assert "unknown opcode" in reason
