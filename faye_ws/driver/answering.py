"""A server's answer to a request that has been read: the same for all versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..constants import ReadyState
from ..errors import HandshakeError
from .base import Driver
from .events import Open
from .handshake import refuse_response
from .http import Response


class Answer(NamedTuple):
    """An acceptance, or a refusal and why; its bytes are empty once it is sent."""

    data: bytes = b""
    refusal: Response | None = None
    error: HandshakeError | None = None


_SENT = Answer()


def find_answer(accept: Callable[[], Response]) -> Answer:
    """Return the response that `accept` returns, or the refusal for what it raises."""
    try:
        return Answer(accept().serialize())
    except HandshakeError as error:
        refusal = refuse_response(error)
        return Answer(refusal.serialize(), refusal, error)


class Answering(Driver):
    """The part of the drivers for servers that sends the response.

    It has no slots of its own, so that it can stand beside any other part of a driver.
    """

    __slots__ = ()

    _answer: Answer

    @property
    def refusal(self) -> Response | None:
        """The response that refuses the request, or None if it is accepted.

        It is there at once, for servers that write responses themselves; `start()` sends it.
        """
        return self._answer.refusal

    def start(self) -> bool:
        """Send the response. Return False if it was sent before; frames come after it.

        After a refusal the connection is to be closed: the event is a `Close` with the
        `HandshakeError` in it.
        """
        answer = self._answer
        if not answer.data or self._close is not None:
            return False
        self._send(answer.data)
        if answer.error is None:
            self._answer = _SENT  # type: ignore[misc]  # the slot is in the subclasses
            self._open()
        else:
            self._fail_handshake(answer.error)
        return True

    def _open(self) -> None:
        self.ready_state = ReadyState.OPEN
        self._report(Open(self.protocol))
