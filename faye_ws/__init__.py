"""WebSocket and EventSource for Python programs that run on gevent and WSGI."""

from .broadcast import broadcast
from .constants import VERSION, CloseCode, ReadyState
from .errors import (
    ConnectionClosed,
    ConnectionFailed,
    EventStreamError,
    EventStreamLost,
    HandshakeError,
    HeadTooLarge,
    InvalidStatus,
    OriginNotAllowed,
    ProtocolError,
    UnsupportedServer,
    UnsupportedVersion,
    WebSocketError,
)
from .events import (
    CloseEvent,
    ErrorEvent,
    Event,
    EventTarget,
    MessageEvent,
    StreamMessageEvent,
)
from .eventsource.history import EventHistory
from .eventsource.server import EventSource
from .runtime.process import stop_on_signals
from .websocket.client import Client
from .websocket.connection import Connection
from .websocket.reconnecting import reconnect
from .websocket.server import WebSocket

__version__ = VERSION

__all__ = [
    "Client",
    "CloseCode",
    "CloseEvent",
    "Connection",
    "ConnectionClosed",
    "ConnectionFailed",
    "ErrorEvent",
    "Event",
    "EventHistory",
    "EventSource",
    "EventStreamError",
    "EventStreamLost",
    "EventTarget",
    "HandshakeError",
    "HeadTooLarge",
    "InvalidStatus",
    "MessageEvent",
    "OriginNotAllowed",
    "ProtocolError",
    "ReadyState",
    "StreamMessageEvent",
    "UnsupportedServer",
    "UnsupportedVersion",
    "WebSocket",
    "WebSocketError",
    "__version__",
    "broadcast",
    "reconnect",
    "stop_on_signals",
]
