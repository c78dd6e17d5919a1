"""The command line showing an event stream."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import EventStreamError
from ..events import ErrorEvent, Event, StreamMessageEvent
from ..eventsource.client import EventSourceClient
from .pipe import Pipe
from .signals import Signals
from .status import INCOMPLETE, NOT_OPENED, OK
from .terminal import Terminal


def connect_stream(options: argparse.Namespace) -> EventSourceClient:
    """Start to connect as the options say."""
    more: dict[str, Any] = {"verify": False if options.insecure else options.ca}
    if options.proxy or options.no_proxy:
        # "" means no proxy, whatever the environment says.
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
    """Shows the events of a stream."""

    def __init__(
        self, es: EventSourceClient, options: argparse.Namespace, console: Pipe | Terminal
    ) -> None:
        self._es = es
        self._verbose = options.verbose
        # How many events are still to be shown, or None for all.
        self._remaining = options.count
        self._console = console

    def hold(self) -> int:
        """Show events until there are no more, or enough, and return the exit status."""
        signals = Signals(self._es.close, self._console.restore)
        if self._verbose:
            self._es.on("open", self._note_open)
            self._es.on("error", self._note_loss)
        try:
            status = self._listen()
        finally:
            self._es.close()
            self._console.stop()
        return status if signals.status is None else signals.status

    def _listen(self) -> int:
        try:
            for event in self._es:
                self._show(event)
                if self._remaining is not None:
                    self._remaining -= 1
                    if not self._remaining:
                        break
        except EventStreamError as error:
            self._console.error(f"faye-ws: {error}")
            return NOT_OPENED
        except BrokenPipeError:
            pass  # The reader needs no more, which is not an error.
        except OSError as error:
            self._console.error(f"faye-ws: can't write the output: {error}")
            return INCOMPLETE
        return OK

    def _show(self, event: StreamMessageEvent) -> None:
        if self._verbose:
            self._console.note(f"{event.type} {event.last_event_id}".rstrip())
        self._console.show(event.data)

    def _note_open(self, event: Event) -> None:
        self._console.note(f"{self._es.url}: {self._es.status_code}")

    def _note_loss(self, event: ErrorEvent) -> None:
        if self._es.ready_state is not EventSourceClient.CLOSED:
            self._console.error(f"faye-ws: {event.message}")
