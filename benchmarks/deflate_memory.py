"""Measure what permessage-deflate costs a connection: memory, and what it saves on the wire.

    python benchmarks/deflate_memory.py [--connections 1000]

For each setting a new process opens connections (drivers of a server) that receive and send
one message each, so that all windows of the setting exist: a short message, and then one of
64 KiB, which uses every page of the windows. The result is the growth of the process for each
connection. The table for docs/extensions.md goes to the standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from faye_ws.driver import Client, RequestServer  # noqa: E402
from faye_ws.extensions import PermessageDeflate  # noqa: E402

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
LENGTH_OF_CONVERSATION = 50


class Setting(NamedTuple):
    """What is settled for both directions: `own` is what we send, `peer` what we receive."""

    compress: bool = True
    own_takeover: bool = True
    peer_takeover: bool = True
    window_bits: int = 15
    mem_level: int = 8

    def columns(self) -> list[str]:
        """Return what the table says about it."""
        if not self.compress:
            return ["no compression", "", "", ""]
        own, peer = ("kept" if kept else "dropped" for kept in self[1:3])
        return [own, peer, str(self.window_bits), str(self.mem_level)]


SETTINGS = [
    Setting(compress=False),
    *(
        Setting(own_takeover=own, peer_takeover=peer, window_bits=bits)
        for own, peer in ((True, True), (True, False), (False, True))
        for bits in (15, 12, 9)
    ),
    Setting(window_bits=12, mem_level=5),
    Setting(window_bits=9, mem_level=1),
    Setting(own_takeover=False, peer_takeover=False),
]


def message(number: int) -> str:
    """Return a message as chats and feeds have them: 400 bytes of JSON, much of it alike."""
    entry = {"type": "update", "sequence": number, "channel": "prices/europe/energy"}
    values = {f"field{place}": (number * 7919 + place * 104729) % 100003 for place in range(14)}
    return json.dumps({**entry, "values": values, "comment": "all values in cents per unit"})


def open_pair(setting: Setting) -> tuple[RequestServer, Client]:
    """Return both ends of a connection after the handshake."""
    extensions = [PermessageDeflate()] if setting.compress else []
    client = Client("ws://localhost/", extensions=extensions)
    server = make_server(client, setting)
    client.start()
    client.data_to_send()
    server.start()
    client.receive_data(server.data_to_send())
    server.events()
    client.events()
    return server, client


def make_server(client: Client, setting: Setting) -> RequestServer:
    """Return a server's driver for the request of a client."""
    # The server's options settle its own side; the client's, which is the peer's, follow.
    deflate = PermessageDeflate(
        no_context_takeover=not setting.own_takeover,
        request_no_context_takeover=not setting.peer_takeover,
        max_window_bits=setting.window_bits,
        request_max_window_bits=setting.window_bits,
        mem_level=setting.mem_level,
    )
    assert client.request is not None
    return RequestServer(client.request, extensions=[deflate])


def converse(server: RequestServer, client: Client, text: str) -> int:
    """Send a message each way, and return how many bytes the server's took."""
    client.text(text)
    server.receive_data(client.data_to_send())
    server.text(text)
    data = server.data_to_send()
    client.receive_data(data)
    assert len(server.events()) == len(client.events()) == 1
    return len(data)


def resident() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE


def grow(setting: Setting, connections: int, texts: list[str]) -> list[float]:
    """Return the bytes of memory of a connection after each of some messages and answers."""
    _, client = open_pair(setting)
    servers = [make_server(client, setting) for _ in range(connections)]
    for server in servers:
        server.start()
        server.data_to_send()
        server.events()
    growth = []
    before = resident()
    for text in texts:
        # All clients say the same, so there need not be more than one: it is the servers
        # that are measured. Nor may what clients free hide what servers take.
        client.text(text)
        incoming = client.data_to_send()
        for server in servers:
            server.receive_data(incoming)
            server.text(text)
            assert len(server.events()) == 1
            server.data_to_send()
        growth.append((resident() - before) / connections)
    return growth


def measure(setting: Setting, connections: int) -> list[float]:
    """Return bytes of memory after a short and a long message, and of a message on the wire."""
    long = "".join(message(number) for number in range(200))[: 2**16]
    growth = grow(setting, connections, [message(0), long])
    server, client = open_pair(setting)
    sizes = [converse(server, client, message(n)) for n in range(LENGTH_OF_CONVERSATION)]
    return [*growth, sum(sizes) / len(sizes)]


def main() -> None:
    """Measure every setting in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description="Measure the memory of permessage-deflate.")
    parser.add_argument("--connections", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--setting", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.setting is not None:
        print(*measure(SETTINGS[options.setting], options.connections))
        return
    print(
        "| own context | peer's context | window bits | `mem_level` "
        "| after 400 bytes | after 64 KiB | 400 bytes become |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for index, setting in enumerate(SETTINGS):
        command = [sys.executable, __file__, "--setting", str(index)]
        command += ["--connections", str(options.connections)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        short, long, size = map(float, done.stdout.split())
        columns = [
            *setting.columns(),
            f"{short / 1024:.1f} KiB",
            f"{long / 1024:.1f} KiB",
            f"{size:.0f}",
        ]
        print("|", " | ".join(columns), "|")


if __name__ == "__main__":
    main()
