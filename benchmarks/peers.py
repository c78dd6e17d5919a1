"""Who is measured: the servers in servers/, how they are started, which versions they run."""

import json
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS = "faye_ws"
YARDSTICK = "tcp"


@dataclass(frozen=True)
class Peer:
    """One server; `packages` are those whose versions matter, its own first."""

    name: str
    label: str
    server: str
    packages: tuple[str, ...]
    setup: str

    @property
    def on_node(self) -> bool:
        return self.server.endswith(".js")

    def command(self, port: int) -> list[str]:
        runtime = ["node", "--expose-gc"] if self.on_node else [sys.executable]
        return [*runtime, str(HERE / "servers" / self.server), str(port)]

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
