"""Drivers with extensions in use, and an extension that leaves a trace of what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faye_ws.driver import Client, Headers, Request, RequestServer
from faye_ws.extensions import Extension, Message
from faye_ws.extensions.header import Parameters
from support import wire
from support.roles import REQUEST
from support.roles import Role as PlainRole
from support.roles import open_client as open_plain_client

RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10
DEFLATE = "permessage-deflate"


def make_request(offer: str | None) -> Request:
    """Return a request that offers extensions."""
    fields = Headers(list(REQUEST.headers))
    if offer is not None:
        fields.append("Sec-WebSocket-Extensions", offer)
    return Request("GET", "/chat", fields)


def open_server(offer: str | None, *extensions: Extension, **options: Any) -> RequestServer:
    """Return a server's driver after the handshake of a client with that offer."""
    driver = RequestServer(make_request(offer), extensions=extensions, **options)
    assert driver.refusal is None, driver.refusal
    driver.start()
    driver.events()
    driver.data_to_send()
    return driver


def open_client(answer: str | None, *extensions: Extension, **options: Any) -> Client:
    """Return a client's driver after the handshake of a server with that answer."""
    fields = [] if answer is None else [f"Sec-WebSocket-Extensions: {answer}".encode()]
    return open_plain_client(*fields, extensions=extensions, **options)


@dataclass(frozen=True)
class Role(PlainRole):
    """Which end of a connection we are.

    `open` makes a driver, given what the peer offers or answers, and our extensions.
    `own` and `peer` are what the parameters of each side begin with.
    """

    own: str
    peer: str


ROLES: Sequence[Role] = (
    Role("server", open_server, wire.KEY, "server", "client"),
    Role("client", open_client, b"", "client", "server"),
)


class Tracing:
    """An extension that writes its name behind each message that it sends, and takes it off.

    Args:
        name: its name.
        bits: which of RSV1-3 it claims.
        trace: where it notes what its sessions do.
        offer: the parameters it offers.
        answer: the parameters it answers with; None declines.
        fails: the method of its sessions that raises, and what.
    """

    type = "permessage"

    def __init__(
        self,
        name: str,
        bits: int = 0,
        trace: list[str] | None = None,
        offer: Parameters | Sequence[Parameters] | None = None,
        answer: Parameters | None = None,
        declines: bool = False,
        fails: tuple[str, Exception] | None = None,
    ) -> None:
        self.name = name
        self.rsv1, self.rsv2, self.rsv3 = bool(bits & RSV1), bool(bits & RSV2), bool(bits & RSV3)
        self.trace = [] if trace is None else trace
        self.offer = {} if offer is None else offer
        self.answer = {} if answer is None else answer
        self.declines = declines
        self._fails = fails

    def note(self, method: str, what: object = "") -> None:
        self.trace.append(f"{self.name} {method} {what}".strip())
        if self._fails is not None and self._fails[0] == method:
            raise self._fails[1]

    def create_client_session(self) -> TracingSession | None:
        self.note("create_client_session")
        return None if self.declines else TracingSession(self)

    def create_server_session(self, offers: list[dict[str, Any]]) -> TracingSession | None:
        self.note("create_server_session", offers)
        return None if self.declines else TracingSession(self)


class TracingSession:
    """A session of `Tracing`."""

    def __init__(self, extension: Tracing) -> None:
        self._extension = extension
        self._mark = f"<{extension.name}>".encode()

    def generate_offer(self) -> Parameters | Sequence[Parameters]:
        self._extension.note("generate_offer")
        return self._extension.offer

    def activate(self, params: dict[str, Any]) -> bool:
        self._extension.note("activate", params)
        return "wrong" not in params

    def generate_response(self) -> Parameters:
        self._extension.note("generate_response")
        return self._extension.answer

    def process_incoming_message(self, message: Message) -> Message:
        self._extension.note("process_incoming_message")
        assert message.data.endswith(self._mark), message.data
        message.data = message.data.removesuffix(self._mark)
        return message

    def process_outgoing_message(self, message: Message) -> Message:
        self._extension.note("process_outgoing_message")
        message.data += self._mark
        message.rsv1 |= self._extension.rsv1
        message.rsv2 |= self._extension.rsv2
        message.rsv3 |= self._extension.rsv3
        return message

    def close(self) -> None:
        self._extension.note("close")
