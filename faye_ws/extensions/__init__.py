"""Extensions of the protocol (RFC 6455, 9): a framework, and permessage-deflate.

`contract` defines what an extension is, with an example to start from.
"""

from .contract import ClientSession, Extension, Message, ServerSession, Session
from .deflate import PermessageDeflate

__all__ = [
    "ClientSession",
    "Extension",
    "Message",
    "PermessageDeflate",
    "ServerSession",
    "Session",
]
