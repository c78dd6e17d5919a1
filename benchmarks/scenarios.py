"""The scenarios that are measured, and the load generator's arguments for each."""

from dataclasses import dataclass

UNITS = {
    "echo": "messages/s",
    "broadcast": "deliveries/s",
    "handshake": "handshakes/s",
    "idle": "bytes/connection",
}
# A compressor's memory shows in a thousand connections as well as in more, and they are large.
MOST_COMPRESSING = 1000


@dataclass(frozen=True)
class Scenario:
    """One kind of load: `mode` is the load generator's, `size` in bytes.

    `deflate` is "none", "takeover" or "no-takeover". Idle connections with a size have exchanged
    a message of that size before.
    """

    name: str
    short: str
    title: str
    mode: str
    connections: int
    size: int = 0
    in_flight: int = 1
    binary: bool = False
    deflate: str = "none"

    @property
    def unit(self) -> str:
        return UNITS[self.mode]

    @property
    def less_is_better(self) -> bool:
        return self.mode == "idle"

    @property
    def group(self) -> str:
        """What it is for: those of a group share the table of medians."""
        if self.mode == "broadcast":
            return "broadcast"
        return "compression" if self.mode == "idle" and self.size else "general"

    def arguments(self) -> list[str]:
        arguments = [self.mode, "--connections", str(self.connections)]
        if self.size:
            arguments += ["--size", str(self.size)]
        if self.mode in ("echo", "broadcast"):
            arguments += ["--in-flight", str(self.in_flight)]
        flags = {
            "--binary": self.binary,
            "--exchange": self.group == "compression",
            "--deflate": self.deflate != "none",
            "--no-takeover": self.deflate == "no-takeover",
        }
        return arguments + [flag for flag, is_set in flags.items() if is_set]


def broadcast(name: str, connections: int, in_flight: int, deflate: str = "none") -> Scenario:
    short = f"to {connections:,}" + ", deflate" * (deflate != "none")
    return Scenario(
        f"broadcast-{name}",
        short,
        f"Broadcast of 1 KiB {short}",
        "broadcast",
        connections,
        2**10,
        in_flight,
        deflate=deflate,
    )


def memory(name: str, short: str, connections: int, deflate: str = "none") -> Scenario:
    title = f"Memory after a message, {short}"
    return Scenario(f"idle-{name}", short, title, "idle", connections, 200, deflate=deflate)


def scenarios(idle_connections: int) -> tuple[Scenario, ...]:
    """Return all scenarios, in the order of the tables.

    Text where messages are small, as in a chat; binary where they are large, as in an upload.
    """
    few = min(idle_connections, MOST_COMPRESSING)
    return (
        Scenario("echo-32", "32 B", "Echo of 32 B, 1 in flight", "echo", 50, 32),
        Scenario("echo-32x16", "32 B x 16", "Echo of 32 B, 16 in flight", "echo", 50, 32, 16),
        Scenario("echo-1k", "1 KiB", "Echo of 1 KiB", "echo", 50, 2**10),
        Scenario("echo-64k", "64 KiB", "Echo of 64 KiB", "echo", 10, 2**16, binary=True),
        Scenario("echo-1m", "1 MiB", "Echo of 1 MiB", "echo", 4, 2**20, binary=True),
        Scenario("handshake", "handshakes", "Opening and closing handshakes", "handshake", 50),
        Scenario("idle", "idle", "Memory of an idle connection", "idle", idle_connections),
        # As many in flight as it takes for the server not to wait for the clients.
        broadcast("1", 1, in_flight=16),
        broadcast("100", 100, in_flight=2),
        broadcast("1000", 1000, in_flight=2),
        broadcast("deflate", 100, in_flight=2, deflate="takeover"),
        memory("plain", "no deflate", few),
        memory("deflate", "deflate", few, "takeover"),
        memory("no-takeover", "deflate, no takeover", few, "no-takeover"),
    )
