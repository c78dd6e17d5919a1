"""What an extension is: the contract between extensions and the drivers.

An extension is an object with a name, the RSV bits that it uses, and methods that create
sessions. A session belongs to one connection: it negotiates, and then processes every
message, incoming and outgoing.

     application  -->  A  -->  B  -->  C  -->  frames
     application  <--  A  <--  B  <--  C  <--  frames

A complete example: an extension that reverses the bytes of every binary message.

    class Reverse:
        name = "reverse"
        type = "permessage"
        rsv1, rsv2, rsv3 = False, False, False

        def create_client_session(self):
            return ReverseSession()

        def create_server_session(self, offers):
            return ReverseSession()

    class ReverseSession:
        def generate_offer(self):
            return {}

        def activate(self, params):
            return not params

        def generate_response(self):
            return {}

        def process_incoming_message(self, message):
            if message.opcode == 2:
                message.data = message.data[::-1]
            return message

        process_outgoing_message = process_incoming_message

        def close(self):
            pass
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..constants import OPCODE_BITS, RSV1, RSV2, RSV3
from .header import Parameters


class Message:
    """A message between the application and its frames.

    Attributes:
        opcode: 1 for text, 2 for binary.
        data: the bytes of the message.
        rsv1, rsv2, rsv3: the reserved bits of its first frame.
        max_length: how many bytes an incoming message may have when it is processed.
    """

    __slots__ = ("data", "max_length", "opcode", "rsv1", "rsv2", "rsv3")

    def __init__(
        self,
        opcode: int,
        data: bytes,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
        max_length: int = 0,
    ) -> None:
        self.opcode = opcode
        self.data = data
        self.rsv1 = rsv1
        self.rsv2 = rsv2
        self.rsv3 = rsv3
        self.max_length = max_length

    @classmethod
    def from_frame(cls, first: int, data: bytes, max_length: int) -> Message:
        """Return the incoming message whose first frame begins with the byte `first`."""
        return cls(
            first & OPCODE_BITS,
            data,
            bool(first & RSV1),
            bool(first & RSV2),
            bool(first & RSV3),
            max_length,
        )

    @property
    def first(self) -> int:
        """The opcode and reserved bits, as in the first byte of a frame."""
        rsv1 = RSV1 if self.rsv1 else 0
        rsv2 = RSV2 if self.rsv2 else 0
        rsv3 = RSV3 if self.rsv3 else 0
        return self.opcode | rsv1 | rsv2 | rsv3


class Session(Protocol):
    """One connection's use of an extension.

    A session may also have `shared_key`, `process_shared_message(message)` and
    `note_shared_message(message)`. Then a broadcast is processed once for all sessions with
    the same key: one of them processes it, without reference to earlier messages, and each of
    them is told with `note_shared_message`.
    """

    def process_incoming_message(self, message: Message) -> Message:
        """Return the message that the application is to receive."""

    def process_outgoing_message(self, message: Message) -> Message:
        """Return the message that is to be sent."""

    def close(self) -> None:
        """Release what the session holds."""


class ClientSession(Session, Protocol):
    """A client's session: it makes the offer."""

    def generate_offer(self) -> Parameters | Sequence[Parameters]:
        """Return the parameters to offer, or a list of alternatives."""

    def activate(self, params: dict[str, Any]) -> bool:
        """Apply the server's response; return False if it is not acceptable."""


class ServerSession(Session, Protocol):
    """A server's session: it answers an offer."""

    def generate_response(self) -> Parameters:
        """Return the parameters to answer with."""


class Extension(Protocol):
    """An extension of the protocol (RFC 6455, 9)."""

    name: str
    type: str
    rsv1: bool
    rsv2: bool
    rsv3: bool

    def create_client_session(self) -> ClientSession | None:
        """Return a session for a new connection, or None to offer nothing."""

    def create_server_session(self, offers: list[dict[str, Any]]) -> ServerSession | None:
        """Return a session for one of the offers, or None to decline them all."""
