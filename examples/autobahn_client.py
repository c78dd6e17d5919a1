"""A client for Autobahn|Testsuite: plays all cases that a fuzzing server has.

    python examples/autobahn_client.py ws://127.0.0.1:9001 [AGENT]

The server says how many cases there are, plays them one by one, each on a connection of its
own on which the client echoes, and writes its reports when asked to. They tell what passed;
the exit status is 1 only if a case could not be played to its end.
"""

from __future__ import annotations

import sys

from faye_ws import Client, CloseCode, ConnectionClosed, HandshakeError, MessageEvent
from faye_ws.extensions import PermessageDeflate

# A case that says nothing for so many seconds has failed. The suite gives up before that.
SILENCE = 120.0
BAR = 40
DEFLATE = PermessageDeflate()


def ask(url: str) -> str:
    """Return the one message that a connection brings."""
    with Client(url) as ws:
        return str(ws.receive(SILENCE))


def play(url: str) -> tuple[int, str]:
    """Hold one connection from its opening to its end, and return how it ended."""
    ws = Client(url, extensions=[DEFLATE])

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        ws.send(event.data)

    try:
        end = ws.wait_closed(SILENCE)
    except TimeoutError:
        ws.close()
        return CloseCode.ABNORMAL_CLOSURE, f"no end after {SILENCE:.0f} seconds"
    return end.code, end.reason


def show(number: int, count: int, code: int, reason: str) -> None:
    """Show how far we are: a bar on a terminal, a line for each case elsewhere."""
    if sys.stdout.isatty():
        done = BAR * number // count
        bar = "#" * done + "." * (BAR - done)
        print(f"\r{bar} {number}/{count}", end="\n" if number == count else "", flush=True)
    else:
        print(f"case {number}: {code:d} {reason}", flush=True)


def main() -> None:
    """Play all cases."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    server, agent = sys.argv[1].rstrip("/"), (sys.argv[2:] or ["faye_ws"])[0]
    broken = []
    try:
        count = int(ask(f"{server}/getCaseCount"))
        for number in range(1, count + 1):
            code, reason = play(f"{server}/runCase?case={number}&agent={agent}")
            show(number, count, code, reason)
            # The suite always ends a case with a close frame, or makes us send one.
            if code == CloseCode.ABNORMAL_CLOSURE:
                broken.append(number)
        with Client(f"{server}/updateReports?agent={agent}") as ws:
            ws.wait_closed(SILENCE)
    except (HandshakeError, ConnectionClosed, TimeoutError, ValueError) as error:
        sys.exit(f"this is no fuzzing server, or no more: {error}")
    print(f"{count} cases were played as {agent}; the reports are with the server")
    if broken:
        sys.exit(f"not played to the end: {', '.join(map(str, broken))}")


if __name__ == "__main__":
    main()
