"""A server's and a client's driver behind one face, for what is the same for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faye_ws.driver import Client, Headers, Open, Request, RequestServer
from faye_ws.driver.rfc6455 import RFC6455
from support import wire

REQUEST = Request(
    "GET",
    "/chat",
    Headers(
        [
            ("Host", "server.example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ]
    ),
)


@dataclass(frozen=True)
class Role:
    """Which end of a connection we are.

    `open` makes a driver whose handshake is done and told; `peer_key` masks the frames of
    the peer, if it has to.
    """

    name: str
    open: Callable[..., RFC6455]
    peer_key: bytes

    @property
    def is_server(self) -> bool:
        return self.name == "server"

    def frame(self, first: int, payload: bytes = b"") -> bytes:
        """Return a frame as the peer sends it."""
        return wire.frame(first, payload, self.peer_key)

    def frames(self, *frames: tuple[int, bytes]) -> bytes:
        """Return frames as the peer sends them."""
        return b"".join(self.frame(first, payload) for first, payload in frames)

    def unmasked(self) -> Role:
        """Return the same role with a peer whose masks don't show, for long payloads."""
        return Role(self.name, self.open, wire.ZERO_KEY if self.peer_key else b"")


def open_server(**options: Any) -> RequestServer:
    """Return a server's driver after the handshake."""
    driver = RequestServer(REQUEST, **options)
    assert driver.start()
    assert driver.events() == [Open(driver.protocol)]
    assert driver.data_to_send().startswith(b"HTTP/1.1 101 ")
    return driver


def open_client(*fields: bytes, **options: Any) -> Client:
    """Return a client's driver after the handshake; `fields` go into the response."""
    driver = Client("ws://server.example.com/chat", **options)
    assert driver.start()
    assert driver.data_to_send().startswith(b"GET /chat HTTP/1.1\r\n")
    driver.receive_data(wire.response(key_of(driver), *fields))
    assert driver.events() == [Open(driver.protocol)]
    return driver


def key_of(driver: Client) -> str:
    """Return the key that a client's driver sends."""
    key = driver.request.headers.get("Sec-WebSocket-Key")
    assert key is not None
    return key


ROLES: Sequence[Role] = (
    Role("server", open_server, wire.KEY),
    Role("client", open_client, b""),
)
