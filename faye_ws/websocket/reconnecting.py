"""A client that connects again and again.

The law of this file: a server that is down is not asked more often because it is down, and
not by all its clients at the same moment. What will fail for ever is not tried again.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Any

import gevent

from ..driver.http import Headers
from ..driver.uri import parse_url
from ..errors import ConnectionFailed, HandshakeError, InvalidStatus
from ..runtime.log import logger
from ..runtime.seconds import check_seconds
from .client import Client

# RFC 9110, 15.5, RFC 6585 and RFC 8470: a time-out, too many requests, too early.
_PASSING_STATUSES = frozenset((408, 425, 429))


def reconnect(
    url: str,
    protocols: Sequence[str] | None = None,
    *,
    min_delay: float = 1.0,
    max_delay: float = 60.0,
    **options: Any,
) -> Iterator[Client]:
    """Iterate over connections to a server, one after the other, each open when it comes.

        for ws in reconnect("wss://example.com/feed"):
            try:
                for message in ws:
                    print(message)
            except ConnectionClosed:
                pass

    When the body is done with a connection, it is closed, and after a delay another one is
    made. The delays grow from `min_delay` to `max_delay`, by chance up to a half shorter,
    and begin anew after a connection that has lasted longer than the delay before it.
    `break` ends it all.

    Args:
        url, protocols, options: as of `Client`.
        min_delay, max_delay: seconds between a connection and the next attempt.

    Raises:
        TypeError, ValueError: the URL or an option is not what it should be.
        HandshakeError: the server, or a proxy, has given an answer that will not change by
            itself, such as 401, 403 or a certificate that is not to be trusted (while
            iterating).
    """
    parse_url(url)
    check_seconds("min_delay", min_delay)
    if check_seconds("max_delay", max_delay) < min_delay:
        raise ValueError(f"max_delay must be at least min_delay: {max_delay} < {min_delay}")
    if hasattr(options.get("net"), "settimeout"):
        raise ValueError("a connected socket in net can't be connected again")
    if "headers" in options:
        # An iterator could be read only once.
        options["headers"] = Headers(options["headers"])
    return _reconnect(url, protocols, min_delay, max_delay, options)


def _reconnect(
    url: str,
    protocols: Sequence[str] | None,
    min_delay: float,
    max_delay: float,
    options: dict[str, Any],
) -> Iterator[Client]:
    delay = min_delay
    while True:
        opened = time.monotonic()
        try:
            with Client(url, protocols, **options) as ws:
                opened = time.monotonic()
                yield ws
            logger.debug("the connection is over")
        except HandshakeError as error:
            if is_fatal(error):
                raise
            logger.info("%s", error)
        if time.monotonic() - opened > delay:
            delay = min_delay
        # Clients whose server has come down must not all come back at once.
        gevent.sleep(delay * random.uniform(0.5, 1.0))
        delay = min(delay * 2, max_delay)


def is_fatal(error: HandshakeError) -> bool:
    """Tell whether a connection that can't be opened will not open later either.

    Networks and servers recover by themselves; certificates, credentials and whoever
    speaks another protocol do not.
    """
    if isinstance(error, InvalidStatus):
        return error.status < 500 and error.status not in _PASSING_STATUSES
    if isinstance(error, ConnectionFailed):
        return isinstance(error.__cause__, ssl.SSLCertVerificationError)
    return True
