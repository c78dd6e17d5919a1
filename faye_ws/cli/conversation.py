"""The command line talking to a WebSocket server.

Invariants:
- Nothing is lost silently: what could not be read, sent or shown is reported, and changes the
  exit status.
- After the end of the input the connection stays open as long as answers come.
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

# Seconds without an answer after which a server counts as silent; and how long one that never
# stops is listened to after it has sent as many messages as it got.
_MAX_SILENCE = 5.0

_CLEAN = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)


def connect(options: argparse.Namespace) -> Client:
    """Start to connect as the options say."""
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
    """One connection: sends what is typed or piped in, and shows what is received."""

    def __init__(self, ws: Client, options: argparse.Namespace, console: Pipe | Terminal) -> None:
        self._ws = ws
        self._options = options
        self._console = console
        self._max_shown = options.count
        # Messages sent and shown, and whether one is being shown now, which may take long.
        self._sent = 0
        self._shown = 0
        self._is_showing = False
        # Whether the user has all that was asked for, whether something is missing, and
        # whether all of the input has been sent.
        self._is_enough = False
        self._is_incomplete = False
        self._has_input_ended = False
        self._signals = Signals(ws.close, console.restore)

    def hold(self) -> int:
        """Talk until the connection is closed, and return the exit status."""
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
        """End the greenlet that sends. If there is unsent input, let it find that out first."""
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

    # Sending

    def _talk(self) -> None:
        """Send the lines of the input."""
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
        if self._max_shown is None:
            self._wait_for_answers()
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

    def _wait_for_answers(self) -> None:
        """Wait until the server has had the chance to answer all that was sent.

        A pong may overtake answers. So wait for a round trip without any message in between;
        from a server that never stops, for as many messages as were sent, and some time.
        """
        deadline = time.monotonic() + _MAX_SILENCE
        while self._ws.ready_state is Client.OPEN:
            shown = self._shown
            if not self._make_round_trip():
                return
            if shown == self._shown and not self._is_showing:
                return
            if self._shown >= self._sent and time.monotonic() > deadline:
                return

    def _make_round_trip(self) -> bool:
        """Send a ping and wait for its pong while there is progress; tell whether it came."""
        answered = gevent.event.Event()
        self._ws.ping(callback=answered.set)
        while self._ws.ready_state is Client.OPEN:
            before = self._shown, self._ws.buffered_amount
            if answered.wait(_MAX_SILENCE):
                return True
            if before == (self._shown, self._ws.buffered_amount) and not self._is_showing:
                self._miss(f"no answer for {_MAX_SILENCE:g} seconds; --wait waits longer")
                return False
        return False

    # Showing

    def _listen(self) -> None:
        """Show messages until there are no more, or enough."""
        try:
            for message in self._ws:
                if not self._show(message):
                    return
        except ConnectionClosed:
            pass  # `_judge` reports how it was closed.

    def _show(self, message: str | bytes) -> bool:
        """Show a message, and tell whether to go on."""
        self._is_showing = True
        try:
            self._console.show(message)
        except BrokenPipeError:
            # The reader needs no more, which is not an error.
            self._is_enough = True
        except OSError as error:
            self._miss(f"can't write the output: {error}")
            return False
        finally:
            self._is_showing = False
        self._shown += 1
        if self._shown == self._max_shown:
            self._is_enough = True
        return not self._is_enough

    # The end

    def _miss(self, problem: str) -> None:
        """Report that something is missing."""
        self._is_incomplete = True
        self._error(problem)

    def _error(self, problem: str) -> None:
        # After a signal the user knows why things fail.
        if self._signals.status is None:
            self._console.error(f"faye-ws: {problem}")

    def _judge(self, code: int, reason: str) -> int:
        if self._is_enough:
            return OK
        if code in _CLEAN:
            return INCOMPLETE if self._is_incomplete else OK
        self._error(f"closed: {int(code)} {reason}".rstrip())
        return LOST if code == CloseCode.ABNORMAL_CLOSURE else CLOSED_OTHERWISE
