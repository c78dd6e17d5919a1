"""The parts of a connection, for tests that look at what no application sees."""

from __future__ import annotations

from faye_ws import Connection
from faye_ws.websocket.endpoint import Endpoint
from faye_ws.websocket.inbox import Inbox


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
