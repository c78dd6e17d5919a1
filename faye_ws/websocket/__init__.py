"""WebSocket connections: what an application holds, at either end.

server.WebSocket    a connection that a WSGI request asks for
client.Client       a connection to a server
reconnecting        connections to a server, one after the other
connection          what both ends share
"""

from .client import Client
from .connection import Connection
from .server import WebSocket

__all__ = ["Client", "Connection", "WebSocket"]
