"""The extensions of one connection, from their negotiation to their end.

Invariants:
- No two extensions in use claim the same RSV bit.
- A client accepts only what it has offered.
- The message of an error that an extension raises begins with the extension's name.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..constants import RSV1, RSV2, RSV3
from ..errors import ExtensionError, HandshakeError, ProtocolError
from .contract import ClientSession, Extension, Message, Session
from .header import parse_header, serialize_extension

_logger = logging.getLogger("faye_ws")


class Pipeline:
    """The sessions of one connection, in the order of the negotiation.

    Attributes:
        rsv_bits: the reserved bits in use, as a mask of a frame's first byte.
        header: the Sec-WebSocket-Extensions of the response.
    """

    __slots__ = ("_sessions", "header", "rsv_bits")

    def __init__(self, sessions: Sequence[tuple[Extension, Session]], header: str) -> None:
        self._sessions = tuple((extension.name, session) for extension, session in sessions)
        self.header = header
        self.rsv_bits = 0
        for extension, _ in sessions:
            self.rsv_bits |= _claimed_bits(extension)

    def process_incoming(self, message: Message) -> Message:
        """Return the message that the application is to receive.

        Raises:
            ProtocolError: an extension can't process the message.
        """
        for name, session in reversed(self._sessions):
            try:
                message = session.process_incoming_message(message)
            except Exception as error:
                raise _named(name, error) from error
        return message

    def process_outgoing(self, message: Message) -> Message:
        """Return the message that is to be sent: its data, and the reserved bits of its frame."""
        for name, session in self._sessions:
            try:
                message = session.process_outgoing_message(message)
            except Exception as error:
                raise _named(name, error) from error
        return message

    def shared_key(self) -> Hashable:
        """Return a key that is equal for pipelines whose `process_shared` has the same result.

        None if a session can't share.
        """
        keys = [(name, getattr(session, "shared_key", None)) for name, session in self._sessions]
        return None if any(key is None for _, key in keys) else tuple(keys)

    def process_shared(self, message: Message) -> Message:
        """Do as `process_outgoing`, without reference to earlier messages."""
        for name, session in self._sessions:
            try:
                message = session.process_shared_message(message)  # type: ignore[attr-defined]
            except Exception as error:
                raise _named(name, error) from error
        return message

    def note_shared(self, message: Message) -> None:
        """Tell the sessions that the result of some pipeline's `process_shared` is sent here."""
        for _, session in self._sessions:
            session.note_shared_message(message)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close all sessions, even if one raises."""
        for name, session in self._sessions:
            try:
                session.close()
            except Exception:
                _logger.exception("the extension %s raised when it was closed", name)


def _named(name: str, error: Exception) -> ProtocolError:
    cls = type(error) if isinstance(error, ProtocolError) else ExtensionError
    return cls(f"{name}: {error}")


def _claimed_bits(extension: Extension) -> int:
    claims = ((extension.rsv1, RSV1), (extension.rsv2, RSV2), (extension.rsv3, RSV3))
    return sum(bit for claimed, bit in claims if claimed)


def check_extensions(extensions: Sequence[Extension]) -> tuple[Extension, ...]:
    """Check an application's list of extensions, and return it as a tuple.

    Raises:
        TypeError: one lacks an attribute of an extension.
        ValueError: two have the same name, or the type of one is not `permessage`.
    """
    for extension in extensions:
        for attribute in ("name", "type", "rsv1", "rsv2", "rsv3"):
            if not hasattr(extension, attribute):
                raise TypeError(f"an extension without {attribute}: {extension!r}")
        if extension.type != "permessage":
            raise ValueError(f"an extension of the type {extension.type!r}: {extension.name}")
    names = [extension.name for extension in extensions]
    if len(set(names)) != len(names):
        raise ValueError("the same extension twice")
    return tuple(extensions)


def respond(extensions: Sequence[Extension], header: str | None) -> Pipeline | None:
    """Answer a client's offers: return a pipeline of what is accepted, or None.

    Raises:
        HandshakeError: the header is malformed, or an extension raised.
    """
    if not extensions or not header:
        return None
    offers = parse_header(header)
    sessions: list[tuple[Extension, Session]] = []
    answers: list[str] = []
    bits = 0
    for extension in extensions:
        offered = [params for name, params in offers if name == extension.name]
        if not offered or bits & _claimed_bits(extension):
            continue
        try:
            session = extension.create_server_session(offered)
            if session is not None:
                answers.append(serialize_extension(extension.name, session.generate_response()))
        except Exception as error:
            raise HandshakeError(f"{extension.name}: {error}") from error
        if session is not None:
            bits |= _claimed_bits(extension)
            sessions.append((extension, session))
    return Pipeline(sessions, ", ".join(answers)) if sessions else None


class Offer:
    """A client's offers.

    Attributes:
        header: the Sec-WebSocket-Extensions of the request, or None to offer nothing.
    """

    __slots__ = ("_sessions", "header")

    def __init__(self, extensions: Sequence[Extension]) -> None:
        self._sessions: dict[str, tuple[Extension, ClientSession]] = {}
        offers: list[str] = []
        for extension in extensions:
            session = extension.create_client_session()
            if session is None:
                continue
            self._sessions[extension.name] = (extension, session)
            offer = session.generate_offer()
            alternatives = [offer] if isinstance(offer, Mapping) else offer
            offers += [serialize_extension(extension.name, params) for params in alternatives]
        self.header = ", ".join(offers) or None

    def activate(self, header: str | None) -> Pipeline | None:
        """Return a pipeline of what the server's response accepts, or None.

        Raises:
            HandshakeError: the response names what was not offered, or is not acceptable.
        """
        sessions: list[tuple[Extension, Session]] = []
        bits = 0
        for name, params in parse_header(header or ""):
            # RFC 6455, 4.1: an extension "that was not present in the client's handshake"
            # fails the connection.
            if name not in self._sessions:
                raise HandshakeError(f"the server uses the extension {name}, which was not offered")
            extension, session = self._sessions[name]
            if any(known is extension for known, _ in sessions):
                raise HandshakeError(f"the server uses the extension {name} twice")
            if bits & _claimed_bits(extension):
                raise HandshakeError(f"the server uses the extension {name} beside one of its bits")
            if not _activate(extension, session, params):
                raise HandshakeError(f"the server uses the extension {name} in a wrong way")
            bits |= _claimed_bits(extension)
            sessions.append((extension, session))
        return Pipeline(sessions, header or "") if sessions else None


def _activate(extension: Extension, session: ClientSession, params: dict[str, Any]) -> bool:
    try:
        return bool(session.activate(params))
    except Exception as error:
        raise HandshakeError(f"{extension.name}: {error}") from error
