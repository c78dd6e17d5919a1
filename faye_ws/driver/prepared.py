"""Messages for many connections, framed and compressed once for all of them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..constants import FIN, Opcode
from ..extensions.contract import Message as ExtensionMessage
from ..extensions.pipeline import Pipeline
from .frames import serialize_frame


class PreparedFrame(NamedTuple):
    """The bytes of a server's frame, and the message that extensions made for it."""

    data: bytes
    message: ExtensionMessage


class PreparedMessage:
    """A message for many connections.

    Args:
        data: `str` for text, `bytes` for binary.

    Raises:
        ValueError: the text has a lone surrogate, which UTF-8 can't encode.
    """

    __slots__ = ("_frames", "data", "opcode")

    def __init__(self, data: str | bytes) -> None:
        self.opcode = Opcode.TEXT if isinstance(data, str) else Opcode.BINARY
        self.data = data.encode() if isinstance(data, str) else data
        self._frames: dict[Hashable, PreparedFrame] = {}

    def frame_for(self, pipeline: Pipeline | None) -> PreparedFrame | None:
        """Return the frame for connections with these extensions, made once for each key.

        None if their extensions can't process a message for several connections.

        Raises:
            ProtocolError: an extension can't process the message.
        """
        key = () if pipeline is None else pipeline.shared_key()
        if key is None:
            return None
        frame = self._frames.get(key)
        if frame is None:
            message = ExtensionMessage(self.opcode, self.data)
            if pipeline is not None:
                message = pipeline.process_shared(message)
            data = serialize_frame(FIN | message.first, message.data)
            frame = self._frames[key] = PreparedFrame(data, message)
        return frame
