"""The parts of a connection, for tests that look at what no application sees."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from faye_ws import Connection
from faye_ws.driver.http import parse_request
from faye_ws.driver.server import RequestServer
from faye_ws.runtime.reactor import Reactor, current_reactor
from faye_ws.runtime.threads import ListenerThread
from faye_ws.websocket.endpoint import Endpoint
from faye_ws.websocket.inbox import Inbox
from faye_ws.websocket.settings import make_settings

from . import wire
from .serving import wait_for


def inbox_of(connection: Connection) -> Inbox:
    """Return what has come for the application."""
    return connection._inbox


def endpoint_of(connection: Connection) -> Endpoint:
    """Return the driver, its transport, and the phase."""
    return connection._inbox.endpoint


def is_stalled(connection: Connection) -> bool:
    """Return whether the peer is not read for now."""
    transport = connection._inbox.endpoint.transport
    return transport is not None and transport.is_paused


class Here:
    """A place for listeners that is no other thread, so that a test is alone with the hub."""

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function."""
        function(*args)

    def has_waited(self) -> bool:
        """Return whether all listeners are there."""
        return True


class Parts:
    """A server's end of a connection in the test's own hub, and the socket of its peer.

    Args:
        thread: where its listeners run, if not in the hub.
        settings: those that differ from no pings, ten seconds for all, and a backlog of 1000.
    """

    def __init__(self, thread: ListenerThread | None = None, **settings: Any) -> None:
        options = {
            "ping": None,
            "ping_timeout": 10,
            "close_timeout": 10,
            "send_timeout": 10,
            "max_backlog": 1000,
        }
        driver = RequestServer(parse_request(wire.request()))
        checked = make_settings(**options | settings)
        self.endpoint = Endpoint(driver, "ws://server.example.com/", checked, current_reactor())
        self.target = Connection(Inbox.__new__(Inbox))
        self.inbox = Inbox(self.target, self.endpoint, thread)
        self.target._inbox = self.inbox
        self._ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)

    def open(self, early: bytes = b"") -> None:
        """Open it, as if the peer had sent bytes right behind its request."""
        self.endpoint.attach(self._ours, early, keep_socket=False)

    def reads_head(self) -> None:
        """Let the peer read the response to its request."""
        assert self.reads() == wire.ACCEPTANCE

    def reads(self) -> bytes:
        """Let the peer read what has come, or what comes next."""
        data: list[bytes] = []

        def read() -> bool:
            try:
                data.append(self.peer.recv(2**20))
            except BlockingIOError:
                return bool(data)
            return not data[-1]

        wait_for(read, "something has come")
        return b"".join(data)

    def close(self) -> None:
        """End what is left of it."""
        self.endpoint.drop()
        # An endpoint that was forgotten leaves its slot there, as with a hub that is gone.
        self.endpoint.reactor.heartbeat.stop()
        self._ours.close()
        self.peer.close()
