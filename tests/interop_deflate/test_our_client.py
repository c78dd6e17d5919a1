"""permessage-deflate between our client and the servers of others."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import websockets.sync.server
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.sync.server import ServerConnection

from faye_ws import HandshakeError
from faye_ws.driver import Client, Close
from faye_ws.driver import Message as MessageEvent
from faye_ws.extensions import PermessageDeflate
from faye_ws.extensions.header import parse_header
from support import wire
from support.deflate_conversation import MESSAGES, POLICIES, Message
from support.streams import take

policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
pytestmark = pytest.mark.timeout(180)


class Conversation:
    """Our client's driver on a plain socket, and what comes of sending it all messages.

    Attributes:
        answers: the messages that came back.
        extensions: what was negotiated.
        compressed: how many of the frames that came began a compressed message.
        close: the end of it.
        refused: whether there was no more than a handshake.
    """

    def __init__(self, url: str, policy: dict[str, Any]) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._driver = Client(url, extensions=[PermessageDeflate(**policy)])
        self.answers: list[Message] = []
        self.compressed = 0
        self.close: Close | None = None
        self.extensions: str
        self.refused: bool
        received = b""
        with socket.create_connection((address.hostname, address.port), 20) as self._socket:
            self._driver.start()
            self._flush()
            while self.close is None:
                data = self._socket.recv(2**16)
                received += data
                if data:
                    self._driver.receive_data(data)
                else:
                    self._driver.receive_eof()
                self._take()
                self._flush()
        self.extensions = self._driver.extensions
        self.refused = isinstance(self.close.error, HandshakeError)
        if not self.refused:
            frames = received.partition(b"\r\n\r\n")[2]
            self.compressed = sum(bool(first & 0x40) for first, _ in wire.unframe(frames))

    def _take(self) -> None:
        for event in take(self._driver):
            if isinstance(event, MessageEvent):
                self.answers.append(event.data)
                if len(self.answers) == len(MESSAGES):
                    self._driver.close()
                    return
            elif isinstance(event, Close):
                self.close = event
                return
            # One at a time: a server that does not read while it writes is no matter here.
            self._say()

    def _say(self) -> None:
        message = MESSAGES[len(self.answers)]
        if isinstance(message, str):
            self._driver.text(message)
        else:
            self._driver.binary(message)

    def _flush(self) -> None:
        self._socket.sendall(self._driver.data_to_send())


@contextlib.contextmanager
def serve_websockets(factory: ServerPerMessageDeflateFactory) -> Iterator[str]:
    """Run an echo server of `websockets`, which sends every second message in fragments."""

    def echo(connection: ServerConnection) -> None:
        for number, message in enumerate(connection):
            middle = len(message) // 2
            connection.send([message[:middle], message[middle:]] if number % 2 else message)

    with websockets.sync.server.serve(
        echo, "127.0.0.1", 0, extensions=[factory], compression=None, max_size=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


def check(conversation: Conversation, policy: dict[str, Any], what: object) -> None:
    """Check that all messages came back, and compressed if that was negotiated."""
    assert conversation.answers == MESSAGES, what
    assert conversation.close is not None
    assert conversation.close.code == 1000, what
    if not conversation.extensions:
        assert conversation.compressed == 0
        return
    assert conversation.compressed >= len([m for m in MESSAGES if m]), what
    ((name, params),) = parse_header(conversation.extensions)
    assert name == "permessage-deflate"
    if policy.get("request_no_context_takeover"):
        assert "server_no_context_takeover" in params
    if "request_max_window_bits" in policy:
        assert params["server_max_window_bits"] <= policy["request_max_window_bits"]


@policies
def test_our_client_converses_with_all_that_websockets_can_answer(policy: dict[str, Any]) -> None:
    negotiated = set()
    for theirs in itertools.product((False, True), (False, True), (None, 9, 15), (None, 9, 15)):
        with serve_websockets(ServerPerMessageDeflateFactory(*theirs)) as url:
            conversation = Conversation(url, policy)
        check(conversation, policy, theirs)
        negotiated.add(conversation.extensions)
    assert any(negotiated)
    print(f"websockets: {len(negotiated)} answers, such as {max(negotiated, key=len)}")


# The names of takeover and window of the server's side, and of the client's.
NODE_OPTIONS = {
    "ws": (
        "serverNoContextTakeover",
        "serverMaxWindowBits",
        "clientNoContextTakeover",
        "clientMaxWindowBits",
    ),
    "faye-websocket": (
        "noContextTakeover",
        "maxWindowBits",
        "requestNoContextTakeover",
        "requestMaxWindowBits",
    ),
}


@policies
@pytest.mark.parametrize("module", NODE_OPTIONS)
def test_our_client_converses_with_all_that_servers_on_node_can_answer(
    node_port: int, module: str, policy: dict[str, Any]
) -> None:
    negotiated = set()
    _, own_window, _, wanted_window = NODE_OPTIONS[module]
    for values in itertools.product((True, None), (None, 9, 15), repeat=2):
        options = zip(NODE_OPTIONS[module], values, strict=True)
        given = {name: value for name, value in options if value is not None}
        url = f"ws://127.0.0.1:{node_port}/{module}?{quote(json.dumps(given))}"
        conversation = Conversation(url, policy)
        if module == "ws" and (
            given.get(own_window, 0) > policy.get("request_max_window_bits", 15)
            or given.get(wanted_window, 0) > policy.get("max_window_bits", 15)
        ):
            # It wants a window larger than what we ask for or offer, and refuses all others.
            assert conversation.refused
            continue
        check(conversation, policy, given)
        negotiated.add(conversation.extensions)
    assert any(negotiated)
    print(f"{module}: {len(negotiated)} answers, such as {max(negotiated, key=len)}")


def test_a_server_that_does_not_know_the_extension_is_no_hindrance() -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with websockets.sync.server.serve(
        echo,
        "127.0.0.1",
        0,
        compression=None,
        max_size=None,
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            conversation = Conversation(f"ws://127.0.0.1:{port}/", {})
        finally:
            server.shutdown()
            thread.join()
    check(conversation, {}, "no extensions")
    assert conversation.extensions == ""


def test_an_offer_of_8_bits_does_not_harm_whoever_makes_it() -> None:
    # websockets fails with a ValueError over it, which it should decline.
    with serve_websockets(ServerPerMessageDeflateFactory()) as url:
        driver = Client(url, extensions=[PermessageDeflate(request_max_window_bits=8)])
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), 20) as connection:
            driver.start()
            connection.sendall(driver.data_to_send())
            while not (events := take(driver)):
                data = connection.recv(2**16)
                if data:
                    driver.receive_data(data)
                else:
                    driver.receive_eof()
        (event,) = events
        if isinstance(event, Close):
            assert isinstance(event.error, HandshakeError)
