"""The command line talks to a WebSocket server.

Invariants: nothing is lost in silence. What could not be read, sent or shown is said, and tells
in the exit status; after the end of the input the connection stays open while answers come.
"""

from __future__ import annotations

import argparse
import time

import gevent
import gevent.event

from ..constants import CloseCode
from ..errors import ConnectionClosed, HandshakeError
from ..extensions.deflate import PermessageDeflate
from ..websocket.client import Client
from .pipe import Pipe
from .signals import Signals
from .status import CLOSED_OTHERWISE, INCOMPLETE, LOST, NOT_OPENED, OK
from .terminal import Terminal

# Seconds of silence after which a server does not answer any more; and that one may go on
# talking after it has sent as many messages as it got.
_LAST_WORDS = 5.0

_CLEAN = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)


def connect(options: argparse.Namespace) -> Client:
    """Begin to connect as the options say."""
    tls = {"ca": options.ca, "cert": options.cert, "key": options.key}
    if options.insecure:
        tls["verify"] = False
    return Client(
        options.url,
        options.protocol,
        headers=options.header,
        origin=options.origin,
        extensions=[PermessageDeflate()] if options.compress else (),
        max_redirects=options.redirects,
        proxy=False if options.no_proxy else options.proxy,
        tls={name: value for name, value in tls.items() if value is not None} or None,
        ping=options.ping,
        connect_timeout=options.timeout,
        close_timeout=options.timeout,
    )


class Conversation:
    """What is said and heard over one connection."""

    def __init__(self, ws: Client, options: argparse.Namespace, console: Pipe | Terminal) -> None:
        self._ws = ws
        self._options = options
        self._console = console
        self._left = options.count
        # Messages sent and shown, and whether one is just being shown, which may take long.
        self._sent = 0
        self._shown = 0
        self._is_showing = False
        # Whether the user has got what was wanted, whether something is missing, and whether
        # all of the input has been sent.
        self._is_enough = False
        self._is_incomplete = False
        self._has_input_ended = False
        self._signals = Signals(ws.close, console.restore)

    def hold(self) -> int:
        """Hold the conversation to its end, and return the exit status."""
        try:
            status = self._hold()
        finally:
            self._console.stop()
        return status if self._signals.status is None else self._signals.status

    def _hold(self) -> int:
        try:
            self._ws.wait_open()
        except HandshakeError as error:
            self._describe_answer()
            self._error(str(error))
            return NOT_OPENED
        self._describe_answer()
        talking = None if self._options.listen else gevent.spawn(self._talk)
        try:
            self._listen()
        finally:
            if talking is not None:
                self._dismiss(talking)
        self._ws.close()
        end = self._ws.wait_closed()
        return self._judge(end.code, end.reason)

    def _dismiss(self, talking: gevent.Greenlet[[], None]) -> None:
        """End the greenlet that talks; a line that is there already, it can't send any more."""
        while self._is_input_missed() and not talking.dead:
            talking.join(0.02)
        talking.kill()

    def _is_input_missed(self) -> bool:
        is_wanted = not (self._is_enough or self._is_incomplete or self._has_input_ended)
        return is_wanted and self._signals.status is None and self._console.has_input()

    def _describe_answer(self) -> None:
        ws = self._ws
        if not self._options.verbose or ws.status_code is None:
            return
        self._console.note(f"{ws.url}: {ws.status_code}")
        for name, value in ws.headers or ():
            self._console.note(f"{name}: {value}")

    # What is said

    def _talk(self) -> None:
        """Send what comes from the input."""
        try:
            for line in self._console.lines():
                if not self._send(line):
                    self._miss("closed before all of the input was sent")
                    return
        except OSError as error:
            self._miss(f"can't read the input: {error}")
        self._has_input_ended = True
        if self._options.wait is not None:
            gevent.sleep(self._options.wait)
        if self._left is None:
            self._hear_answers()
            self._ws.close()

    def _send(self, line: str) -> bool:
        message: str | bytes = line
        if self._options.binary:
            try:
                message = bytes.fromhex(line)
            except ValueError:
                self._error(f"not hexadecimal: {line[:80]!r}")
                return True
        self._sent += 1
        return self._ws.send(message)

    def _hear_answers(self) -> None:
        """Wait until the server has had its chance to answer all that was sent.

        Its pong may overtake its answers, and some may still be held up on their way. So the
        sign is a round trip without any message; or, if it never stops, as many messages as
        were sent, and some time.
        """
        patience = time.monotonic() + _LAST_WORDS
        while self._ws.ready_state is Client.OPEN:
            shown = self._shown
            if not self._make_round_trip():
                return
            if shown == self._shown and not self._is_showing:
                return
            if self._shown >= self._sent and time.monotonic() > patience:
                return

    def _make_round_trip(self) -> bool:
        """Wait for the pong to a ping as long as anything moves, and tell whether it came."""
        answered = gevent.event.Event()
        self._ws.ping(callback=answered.set)
        while self._ws.ready_state is Client.OPEN:
            before = self._shown, self._ws.buffered_amount
            if answered.wait(_LAST_WORDS):
                return True
            if before == (self._shown, self._ws.buffered_amount) and not self._is_showing:
                self._miss(f"no answer for {_LAST_WORDS:g} seconds; --wait waits longer")
                return False
        return False

    # What is heard

    def _listen(self) -> None:
        """Show what comes, until there is no more, or enough."""
        try:
            for message in self._ws:
                if not self._show(message):
                    return
        except ConnectionClosed:
            """How, is told at the end."""

    def _show(self, message: str | bytes) -> bool:
        """Show a message, and tell whether there may be more."""
        self._is_showing = True
        try:
            self._console.show(message)
        except BrokenPipeError:
            # Nobody wants to hear more, which is no fault.
            self._is_enough = True
        except OSError as error:
            self._miss(f"can't write the output: {error}")
            return False
        finally:
            self._is_showing = False
        self._shown += 1
        if self._shown == self._left:
            self._is_enough = True
        return not self._is_enough

    # How it ends

    def _miss(self, problem: str) -> None:
        """Say that something is missing."""
        self._is_incomplete = True
        self._error(problem)

    def _error(self, problem: str) -> None:
        # Who ends the program knows why nothing goes on.
        if self._signals.status is None:
            self._console.error(f"faye-ws: {problem}")

    def _judge(self, code: int, reason: str) -> int:
        if self._is_enough:
            return OK
        if code in _CLEAN:
            return INCOMPLETE if self._is_incomplete else OK
        self._error(f"closed: {int(code)} {reason}".rstrip())
        return LOST if code == CloseCode.ABNORMAL_CLOSURE else CLOSED_OTHERWISE
