"""What is measured, and the arguments that tell the load generator so."""

from dataclasses import dataclass

UNITS = {"echo": "messages/s", "handshake": "handshakes/s", "idle": "bytes/connection"}


@dataclass(frozen=True)
class Scenario:
    """One kind of load: `mode` is the load generator's, `size` in bytes."""

    name: str
    short: str
    title: str
    mode: str
    connections: int
    size: int = 0
    in_flight: int = 1
    binary: bool = False

    @property
    def unit(self) -> str:
        return UNITS[self.mode]

    @property
    def less_is_better(self) -> bool:
        return self.mode == "idle"

    @property
    def suits_yardstick(self) -> bool:
        """A TCP echo knows no handshakes."""
        return self.mode != "handshake"

    def arguments(self) -> list[str]:
        arguments = [self.mode, "--connections", str(self.connections)]
        if self.mode == "echo":
            arguments += ["--size", str(self.size), "--in-flight", str(self.in_flight)]
        return arguments + ["--binary"] * self.binary


def scenarios(idle_connections: int) -> tuple[Scenario, ...]:
    """Return all scenarios, in the order of the tables.

    Text where messages are small, as in a chat; binary where they are large, as in an upload.
    """
    return (
        Scenario("echo-32", "32 B", "Echo of 32 B, 1 in flight", "echo", 50, 32),
        Scenario("echo-32x16", "32 B x 16", "Echo of 32 B, 16 in flight", "echo", 50, 32, 16),
        Scenario("echo-1k", "1 KiB", "Echo of 1 KiB", "echo", 50, 2**10),
        Scenario("echo-64k", "64 KiB", "Echo of 64 KiB", "echo", 10, 2**16, binary=True),
        Scenario("echo-1m", "1 MiB", "Echo of 1 MiB", "echo", 4, 2**20, binary=True),
        Scenario("handshake", "handshakes", "Opening and closing handshakes", "handshake", 50),
        Scenario("idle", "idle", "Memory of an idle connection", "idle", idle_connections),
    )
