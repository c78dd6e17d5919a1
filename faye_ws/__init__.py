"""WebSocket and EventSource for Python programs that run on gevent and WSGI."""

from .broadcast import broadcast
from .client import Client
from .connection import Connection
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
from .eventsource import EventSource
from .history import EventHistory
from .reconnecting import reconnect
from .runtime.process import stop_on_signals
from .websocket import WebSocket

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
