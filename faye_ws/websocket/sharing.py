"""A connection that other threads use, as its own does.

Their calls are handed over to the hub (`handing_over`), but for the two that are frequent
(`exchange`).

Invariants:
- The messages of one thread are sent in the order in which it has sent them.
- A timeout is kept by the thread that has given it, whatever the others do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from sys import getsizeof
from typing import TypeVar

from greenlet import greenlet

from ..constants import NEVER, ReadyState
from ..errors import ConnectionClosed
from ..runtime.handing_over import HubGone, hand_over
from ..runtime.reactor import find_hub
from ..runtime.threads import current_thread
from .dispatcher import PLACE, Dispatcher

_T = TypeVar("_T")

NO_MESSAGE = "no message has come"

_OPEN = ReadyState.OPEN


class SharedDispatcher(Dispatcher):
    """A dispatcher that any thread may use."""

    __slots__ = ()

    def _send_data(self, data: str | bytes) -> bool:
        raise NotImplementedError

    def _is_foreign(self) -> bool:
        # When all is over, the thread may be, too, and there is nothing left to share.
        is_over = self._closed is not None and self._transport is None
        if self._reactor is None or (is_over and not self._notices and not self._busy):
            return False
        return self._reactor.is_foreign()

    def _hand_over(
        self,
        function: Callable[[], _T],
        deadline: float = NEVER,
        failure: str = "",
        give_back: Callable[[_T], object] | None = None,
    ) -> _T:
        """Call a function in the hub of the connection, and return what it returns."""
        assert self._reactor is not None
        try:
            return hand_over(
                self._reactor, function, deadline=deadline, failure=failure, give_back=give_back
            )
        except HubGone:
            # The connection has ended with its hub, so nothing will wait now.
            self.forget()
            return function()

    # Sending

    def _post_message(self, data: str | bytes) -> bool:
        """Put a message into the outbox, if that is all that is to be done to send it."""
        exchange = self._exchange
        if (
            exchange is None
            or not exchange.has_room(data)
            or self._backlogged
            or self._closed is not None
            or self._driver.ready_state is not _OPEN
            or self._driver.is_text_only
        ):
            return False
        if isinstance(data, str) and not data.isascii():
            # What has no form in UTF-8 is the caller's fault.
            data.encode()
        assert self._reactor is not None
        exchange.outbox.append(data)
        return self._reactor.post(self._empty_outbox, exchange.outbox)

    def _empty_outbox(self, outbox: list[str | bytes]) -> None:
        was_corked = self._corked
        self._corked = was_corked or 0
        failed = False
        while outbox:
            failed = not self._send_data(outbox.pop(0)) or failed
        self._corked = was_corked
        self._flush_unless_corked()
        if failed:
            # An extension has failed, and that ends the connection.
            self._advance_soon()

    # Receiving

    def _waits_in_thread(self) -> bool:
        """Tell whether the calling thread can wait for messages by itself."""
        return self._exchange is not None and find_hub() is None

    def _receive_in_thread(self, receiver: greenlet, deadline: float) -> str | bytes:
        while True:
            message = self._take_in_thread()
            if message is not None:
                self._serving = receiver
                return message
            if self._closed is not None:
                raise ConnectionClosed(*self._closed)
            if time.monotonic() >= deadline:
                raise TimeoutError(NO_MESSAGE)
            self._wait_in_thread(receiver, deadline)

    def _take_in_thread(self) -> str | bytes | None:
        messages, exchange = self._messages, self._exchange
        if not messages or exchange is None:
            return None
        try:
            message = messages.popleft()
        except IndexError:
            return None
        exchange.credits.append(getsizeof(message) + PLACE)
        if self._stalled or self._is_behind:
            self._advance_soon()
        return message

    def _wait_in_thread(self, receiver: greenlet, deadline: float) -> None:
        thread, exchange = current_thread(), self._exchange
        assert exchange is not None
        self._asking.append(receiver)
        exchange.threads.append(thread)
        try:
            # Whoever asks for what comes next has done with what came before.
            if self._ending is not None or self._is_behind:
                self._advance_soon()
            thread.wait(lambda: bool(self._messages) or self._closed is not None, deadline)
        finally:
            exchange.threads.remove(thread)
            self._asking.remove(receiver)
