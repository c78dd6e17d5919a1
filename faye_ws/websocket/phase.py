"""The life of a connection.

    NEW --> OPENING --> OPEN --> ENDING ---.
                          |        |        >--> LINGERING --> GONE
                          `--> CLOSING ----'

From any phase it may also go to GONE at once: the socket is lost, or the peer is dropped.
"""

from __future__ import annotations

from enum import IntEnum

from ..constants import NEVER, ReadyState


class Phase(IntEnum):
    """Where in its life a connection is."""

    NEW = 0  # there is no socket yet
    OPENING = 1  # the opening handshake is not done
    OPEN = 2
    ENDING = 3  # its end has come, and waits for the application to answer what came before
    CLOSING = 4  # our close frame is sent, the peer's is awaited
    LINGERING = 5  # closed: what is left goes out, then the peer has to end its side of TCP
    GONE = 6  # there is no socket any more


# How many seconds each phase may last at most. Then a connection that is ending ends, whatever
# the application is doing; any other is dropped.
LIMITS = {
    Phase.NEW: NEVER,
    # Only the draft hixie-76 leaves something of the handshake to be done.
    Phase.OPENING: 10.0,
    Phase.OPEN: NEVER,
    Phase.ENDING: 1.0,
    # These two may have less, since the application says how long the closing handshake may take.
    Phase.CLOSING: NEVER,
    Phase.LINGERING: 5.0,
    Phase.GONE: NEVER,
}

# What the application sees of it.
READY_STATES = {
    Phase.NEW: ReadyState.CONNECTING,
    Phase.OPENING: ReadyState.CONNECTING,
    Phase.OPEN: ReadyState.OPEN,
    Phase.ENDING: ReadyState.OPEN,
    Phase.CLOSING: ReadyState.CLOSING,
    Phase.LINGERING: ReadyState.CLOSED,
    Phase.GONE: ReadyState.CLOSED,
}
