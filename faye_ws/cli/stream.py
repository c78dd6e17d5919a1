"""The command line tails an event stream."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any

import gevent

from ..errors import EventStreamError
from ..events import ErrorEvent, Event, StreamMessageEvent
from ..eventsource_client import EventSourceClient
from .pipe import Pipe
from .status import INTERRUPTED, NOT_OPENED, OK
from .terminal import Terminal


def connect_stream(options: argparse.Namespace) -> EventSourceClient:
    """Begin to connect as the options say."""
    more: dict[str, Any] = {"verify": False if options.insecure else options.ca}
    if options.proxy or options.no_proxy:
        # An empty one stands for none, whatever the environment says.
        more["proxies"] = dict.fromkeys(("http", "https"), options.proxy or "")
    if options.cert:
        more["cert"] = (options.cert, options.key) if options.key else options.cert
    headers = dict(options.header)
    if options.origin:
        headers["Origin"] = options.origin
    given = {name: value for name, value in more.items() if value is not None}
    return EventSourceClient(
        options.url, headers=headers, last_event_id=options.last_event_id, **given
    )


class Tail:
    """Shows the events of a stream as they come."""

    def __init__(
        self, es: EventSourceClient, options: argparse.Namespace, desk: Pipe | Terminal
    ) -> None:
        self._es = es
        self._verbose = options.verbose
        self._left = options.count
        self._desk = desk
        self._interrupted = False

    def hold(self) -> int:
        """Show events until there are no more, or enough, and return the exit status."""
        gevent.signal_handler(signal.SIGINT, self._interrupt)
        self._es.on("open", self._note_open)
        self._es.on("error", self._note_error)
        try:
            for event in self._es:
                self._show(event)
                if self._left is not None:
                    self._left -= 1
                    if not self._left:
                        break
        except BrokenPipeError:
            """Nobody wants to hear more, which is no fault."""
        except EventStreamError:
            return NOT_OPENED
        finally:
            self._es.close()
            self._desk.stop()
        return INTERRUPTED if self._interrupted else OK

    def _show(self, event: StreamMessageEvent) -> None:
        if self._verbose:
            self._desk.note(f"{event.type} {event.last_event_id}".rstrip())
        self._desk.show(event.data)

    def _note_open(self, event: Event) -> None:
        if self._verbose:
            self._desk.note(f"{self._es.url}: {self._es.status_code}")

    def _note_error(self, event: ErrorEvent) -> None:
        if self._verbose or self._es.ready_state is EventSourceClient.CLOSED:
            self._desk.error(f"faye-ws: {event.message}")

    def _interrupt(self) -> None:
        if self._interrupted:
            os._exit(INTERRUPTED)
        self._interrupted = True
        self._es.close()
