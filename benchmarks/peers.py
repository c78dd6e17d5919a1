"""The servers that are measured: how each is started, and its versions."""

import json
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from scenarios import Scenario

HERE = Path(__file__).resolve().parent
OURS = "faye_ws"
YARDSTICK = "tcp"


@dataclass(frozen=True)
class Peer:
    """One library in use; `packages` are those whose versions matter, its own first.

    `server` echoes, `broadcaster` broadcasts; what it does not have it is not measured with.
    Where it `compresses`, both take the scenario's `deflate` as an argument.
    """

    name: str
    label: str
    server: str | None
    packages: tuple[str, ...]
    setup: str
    broadcaster: str | None = None
    compresses: bool = False

    @property
    def on_node(self) -> bool:
        return self.server is not None and self.server.endswith(".js")

    @property
    def is_ours(self) -> bool:
        return self.packages[0] == OURS

    def suits(self, scenario: Scenario) -> bool:
        """Tell whether it is measured in a scenario."""
        if scenario.group == "compression" and not self.compresses:
            return False
        if scenario.mode == "handshake" and self.name == YARDSTICK:
            return False  # a TCP echo knows none
        return self._program(scenario) is not None

    def _program(self, scenario: Scenario) -> str | None:
        return self.broadcaster if scenario.mode == "broadcast" else self.server

    def command(self, scenario: Scenario, port: int) -> list[str]:
        program = self._program(scenario)
        assert program is not None, f"{self.name} does not suit {scenario.name}"
        runtime = ["node", "--expose-gc"] if self.on_node else [sys.executable]
        return [*runtime, str(HERE / "servers" / program), str(port), scenario.deflate]

    def versions(self, node_modules: Path) -> dict[str, str]:
        return {package: self._version(package, node_modules) for package in self.packages}

    def _version(self, package: str, node_modules: Path) -> str:
        try:
            if self.on_node:
                return str(
                    json.loads((node_modules / package / "package.json").read_text())["version"]
                )
            return metadata.version(package)
        except (OSError, metadata.PackageNotFoundError):
            return "this checkout" if package == OURS else "unknown"


PEERS = (
    Peer(
        OURS,
        "faye_ws",
        "faye_ws_server.py",
        (OURS, "gevent"),
        "a message listener on gevent's stock pywsgi",
        broadcaster="faye_ws_broadcast.py",
        compresses=True,
    ),
    Peer(
        "faye_ws-loop",
        "faye_ws, loop of sends",
        None,
        (OURS, "gevent"),
        "the same, with a plain loop of `send` in place of `broadcast`",
        broadcaster="faye_ws_loop.py",
        compresses=True,
    ),
    Peer(
        "gevent-websocket",
        "gevent-websocket",
        "gevent_websocket_server.py",
        ("gevent-websocket", "gevent"),
        "its handler class on gevent's pywsgi",
    ),
    Peer(
        "simple-websocket",
        "simple-websocket",
        "simple_websocket_server.py",
        ("simple-websocket", "wsproto", "gevent"),
        "on gevent's pywsgi, monkey-patched, since it reads on a thread of its own",
    ),
    Peer(
        "websockets",
        "websockets",
        "websockets_server.py",
        ("websockets", "uvloop"),
        "its asyncio server on uvloop",
        broadcaster="websockets_broadcast.py",
        compresses=True,
    ),
    Peer(
        "aiohttp", "aiohttp", "aiohttp_server.py", ("aiohttp", "uvloop"), "its web server on uvloop"
    ),
    Peer(
        "picows",
        "picows",
        "picows_server.py",
        ("picows", "uvloop"),
        "its core interface (frames) on uvloop",
    ),
    Peer("ws", "ws (Node)", "ws_server.js", ("ws",), "its own server"),
    Peer(
        "faye-websocket",
        "faye-websocket (Node)",
        "faye_websocket_server.js",
        ("faye-websocket", "websocket-driver"),
        "on Node's http server",
    ),
    Peer(
        YARDSTICK,
        "plain TCP echo",
        "tcp_server.py",
        ("gevent",),
        "recv and sendall on gevent, no WebSocket",
    ),
)


def server_environment(node_modules: Path) -> dict[str, str]:
    """Return an environment in which servers find this checkout and the packages for Node."""
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "NODE_PATH": str(node_modules)}
