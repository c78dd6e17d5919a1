"""The command line, from its arguments to its exit status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

import gevent
import gevent.event

from ..client import Client
from ..constants import VERSION, CloseCode
from ..errors import ConnectionClosed, HandshakeError
from ..extensions.deflate import PermessageDeflate
from .arguments import parse_arguments
from .pipe import Pipe
from .status import CLOSED_OTHERWISE, INTERRUPTED, LOST, MISUSED, NOT_OPENED, OK
from .stream import Tail, connect_stream
from .terminal import Terminal

# Seconds that a server has to answer the last line.
_LAST_WORDS = 5.0

_CLEAN = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status.

    Args:
        arguments: those of the process by default.
    """
    options = parse_arguments(arguments, VERSION)
    try:
        if options.url.lower().startswith(("http:", "https:")):
            return Tail(connect_stream(options), options, make_desk(options)).hold()
        ws = connect(options)
    except (TypeError, ValueError, ImportError, OSError) as error:
        print(f"faye-ws: {error}", file=sys.stderr)
        return MISUSED
    return Conversation(ws, options).hold()


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

    def __init__(self, ws: Client, options: argparse.Namespace) -> None:
        self._ws = ws
        self._options = options
        self._left = options.count
        self._interrupted = False
        self._desk = make_desk(options)

    def hold(self) -> int:
        """Hold the conversation to its end, and return the exit status."""
        gevent.signal_handler(signal.SIGINT, self._interrupt)
        try:
            self._ws.wait_open()
        except HandshakeError as error:
            self._desk.stop()
            self._describe_answer()
            if not self._interrupted:
                self._desk.error(f"faye-ws: {error}")
            return INTERRUPTED if self._interrupted else NOT_OPENED
        self._describe_answer()
        talking = None if self._options.listen else gevent.spawn(self._talk)
        try:
            self._listen()
        except BrokenPipeError:
            """Nobody wants to hear more, which is no fault."""
        finally:
            self._desk.stop()
            if talking is not None:
                talking.kill()
        self._ws.close()
        end = self._ws.wait_closed()
        return INTERRUPTED if self._interrupted else self._judge(end.code, end.reason)

    def _interrupt(self) -> None:
        """Close; at the second time, do not wait for it."""
        if self._interrupted:
            os._exit(INTERRUPTED)
        self._interrupted = True
        self._ws.close()

    def _describe_answer(self) -> None:
        ws = self._ws
        if not self._options.verbose or ws.status_code is None:
            return
        self._desk.note(f"{ws.url}: {ws.status_code}")
        for name, value in ws.headers or ():
            self._desk.note(f"{name}: {value}")

    def _talk(self) -> None:
        """Send what comes from the input."""
        try:
            for line in self._desk.lines():
                if not self._send(line):
                    return
        except OSError as error:
            self._desk.error(f"faye-ws: can't read the input: {error}")
        if self._options.wait is not None:
            gevent.sleep(self._options.wait)
        if self._left is None:
            # What answers the last line is sent before the pong, if it is sent in order.
            answered = gevent.event.Event()
            self._ws.ping(callback=answered.set)
            answered.wait(_LAST_WORDS)
            self._ws.close()

    def _send(self, line: str) -> bool:
        if not self._options.binary:
            return self._ws.send(line)
        try:
            data = bytes.fromhex(line)
        except ValueError:
            self._desk.error(f"faye-ws: not hexadecimal: {line[:80]!r}")
            return True
        return self._ws.send(data)

    def _listen(self) -> None:
        """Show what comes, until there is no more, or enough."""
        try:
            for message in self._ws:
                self._desk.show(message)
                if self._left is not None:
                    self._left -= 1
                    if not self._left:
                        return
        except ConnectionClosed:
            """How, is told at the end."""

    def _judge(self, code: int, reason: str) -> int:
        if code in _CLEAN:
            return OK
        self._desk.error(f"faye-ws: closed: {int(code)} {reason}".rstrip())
        return LOST if code == CloseCode.ABNORMAL_CLOSURE else CLOSED_OTHERWISE


def make_desk(options: argparse.Namespace) -> Pipe | Terminal:
    """Return what stands between the user and the conversation."""
    if not (os.isatty(0) and os.isatty(1)):
        return Pipe()
    can_color = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    color = options.color == "always" or (options.color == "auto" and can_color)
    return Terminal(color, history=not options.no_history)
