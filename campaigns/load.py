"""The peers of a soak: a process of its own, with a thread for each that is there at once.

    python -m campaigns.load PORT [--ca FILE] [--at-once 24] [--rate 150]

It obeys lines of its standard input, and answers each with a line of JSON:

    warm           open twice as many connections as there will be at once, and close them; then
                   play each behaviour once
    run SECONDS    let peers loose, chosen by chance, and wait until they have all left
    hold NUMBER    open so many WebSockets and event streams, and read nothing of them
    pong           send a pong on each of those WebSockets, as a sign of life
    leave          close those
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import hostile, polite
from .stock import take_stock
from .wire import FIN, PATIENCE, PONG, Address, Peer, frame, text

Behaviour = Callable[[Address], None]


class Load:
    """Peers of all kinds, so many at once and not more than `rate` a second.

    Half of the behaviours that are chosen are polite.
    """

    def __init__(self, address: Address, at_once: int, rate: float) -> None:
        self._address = address
        self._at_once = at_once
        self._gap = 1 / rate
        self._next = 0.0
        self._lock = threading.Lock()
        self._held: list[Peer] = []
        self._streams: list[Peer] = []
        # Threads that have not come back, and what they are at.
        self._busy: dict[threading.Thread, str] = {}
        self.played: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def warm(self) -> None:
        """Make the server allocate what it allocates once, and for so many at a time."""
        peers = []
        for _ in range(2 * self._at_once):
            peer = hostile.opened(self._address, "/open")
            peer.send(text("hello"))
            peers.append(peer)
        for peer in peers:
            assert peer.read_message() == b"hello"
            peer.reset()
        for behaviour in (*polite.BEHAVIOURS, *hostile.BEHAVIOURS):
            self._play(behaviour)

    def run(self, seconds: float) -> list[str]:
        """Let peers loose, wait for them, and return what those are at that do not come back."""
        end = time.monotonic() + seconds
        for _ in range(self._at_once):
            thread = threading.Thread(target=self._work, args=(end,), daemon=True)
            with self._lock:
                self._busy[thread] = ""
            thread.start()
        deadline = end + 2 * PATIENCE
        while time.monotonic() < deadline and (busy := list(self._busy)):
            busy[0].join(0.1)
        return list(self._busy.values())

    def hold(self, number: int) -> None:
        """Open connections and streams that nobody reads."""
        for _ in range(number):
            self._held.append(hostile.hold(self._address, "/feed"))
            self._streams.append(hostile.hold_stream(self._address, "/flood"))

    def pong(self) -> None:
        """Show that the peers on WebSockets live."""
        for peer in self._held:
            with suppress(OSError):
                peer.send(frame(FIN | PONG))

    def leave(self) -> None:
        """Close what was held."""
        for peer in (*self._held, *self._streams):
            peer.reset()
        self._held.clear()
        self._streams.clear()

    def _work(self, end: float) -> None:
        me = threading.current_thread()
        while self._wait_for_turn(end):
            behaviour = random.choice(random.choice((hostile.BEHAVIOURS, polite.BEHAVIOURS)))
            with self._lock:
                self._busy[me] = behaviour.__name__
            self._play(behaviour)
        with self._lock:
            del self._busy[me]

    def _wait_for_turn(self, end: float) -> bool:
        """Keep to the rate; return whether there is a turn before the end."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            if turn >= end:
                return False
            self._next = turn + self._gap
        time.sleep(max(0.0, turn - time.monotonic()))
        return True

    def _play(self, behaviour: Behaviour) -> None:
        name = behaviour.__name__
        fault = ""
        try:
            behaviour(self._address)
        except AssertionError as error:
            fault = f"{name}: {str(error)[:80] or 'was not answered as it should be'}"
        except TimeoutError as error:
            fault = f"{name}: {error}"
        except OSError as error:
            # A server may hang up on those who break rules.
            if behaviour in polite.BEHAVIOURS:
                fault = f"{name}: {type(error).__name__}"
        except Exception as error:
            fault = f"{name}: {type(error).__name__}: {str(error)[:80]}"
        with self._lock:
            self.played[name] += 1
            if fault:
                self.failed[fault] += 1


def obey(load: Load, line: str) -> dict[str, Any]:
    """Do what a line says, and return the answer."""
    word, _, number = line.strip().partition(" ")
    stuck: list[str] = []
    if word == "warm":
        load.warm()
    elif word == "run":
        stuck = load.run(float(number))
    elif word == "hold":
        load.hold(int(number))
    elif word == "pong":
        load.pong()
    elif word == "leave":
        load.leave()
    else:
        raise ValueError(line)
    return {
        "played": load.played.total(),
        "failed": dict(load.failed),
        "stuck": stuck,
        "stock": take_stock(),
    }


def main() -> None:
    """Obey until the end of the input."""
    parser = argparse.ArgumentParser(description="The peers of a soak.")
    parser.add_argument("port", type=int)
    parser.add_argument("--ca", help="trust this authority, and speak TLS")
    parser.add_argument("--at-once", type=int, default=24, help="24 by default")
    parser.add_argument("--rate", type=float, default=150.0, help="a second, 150 by default")
    options = parser.parse_args()
    load = Load(Address(options.port, options.ca), options.at_once, options.rate)
    with suppress(KeyboardInterrupt):
        for line in sys.stdin:
            print(json.dumps(obey(load, line)), flush=True)


if __name__ == "__main__":
    main()
