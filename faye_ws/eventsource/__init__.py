"""Event streams: what an application holds, at either end.

server.EventSource          a stream that a WSGI request asks for
client.EventSourceClient    a stream that a server sends
history.EventHistory        the last events of a stream, for clients that come back
"""

from .client import EventSourceClient
from .history import EventHistory
from .server import EventSource

__all__ = ["EventHistory", "EventSource", "EventSourceClient"]
