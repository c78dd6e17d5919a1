"""A response without a body that keeps its server waiting.

Servers close a socket, or look at it again, when the response has ended. Where a WebSocket is a
part of what they keep, the response lasts as long as the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator


class Hold:
    """The iterable of such a response.

    Args:
        wait: returns when the response is to end.
        release: called when the server has done with the response, whatever the reason.
    """

    __slots__ = ("_release", "_wait")

    def __init__(self, wait: Callable[[], None], release: Callable[[], None]) -> None:
        self._wait = wait
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        self._wait()
        yield from ()

    def close(self) -> None:
        """Handle that the server has done with the response (PEP 3333)."""
        self._release()
