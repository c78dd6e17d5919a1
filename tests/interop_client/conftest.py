"""The servers, the proxies and the certificates of these tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest

from support import programs
from support.certificates import Certificates

HERE = Path(__file__).parent
PROXY = programs.ROOT / "examples" / "proxy_server.py"
# In URLs percent-encoded, as it has to be.
USER, PASSWORD = "us er", "p@ss:word"
CREDENTIALS = "us%20er:p%40ss%3Aword"

SERVERS = ("faye_ws", "websockets", "ws", "faye-websocket")
WAYS = (
    "no proxy",
    "our proxy",
    "our proxy with TLS",
    "tinyproxy",
    "proxy.py",
    "proxy.py with TLS",
)


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[dict[str, str]]:
    """The URLs of a server, `plain` and `secure`, without the path."""
    if request.param in ("faye_ws", "websockets"):
        script = HERE / f"{request.param}_server.py"
        program = programs.python(script, certificates.cert, certificates.key)
    else:
        programs.require_node_module(request.param, HERE.parent / "interop")
        node = [programs.require("node"), HERE / "node_server.js", request.param]
        program = programs.Program([*node, certificates.cert, certificates.key])
    with program:
        ports = program.wait_for_line(r"^plain (\d+) secure (\d+)$")
        yield {"plain": f"ws://localhost:{ports[1]}", "secure": f"wss://localhost:{ports[2]}"}
        assert program.process.poll() is None, program.errors()


@pytest.fixture(scope="session", params=WAYS)
def way(
    request: pytest.FixtureRequest, certificates: Certificates, tmp_path_factory: Any
) -> Iterator[dict[str, Any]]:
    """The options of a client that goes this way."""
    if request.param == "no proxy":
        yield {"proxy": False}
        return
    kind, _, with_tls = request.param.partition(" with ")
    start = {"our proxy": start_ours, "tinyproxy": start_tinyproxy, "proxy.py": start_proxy_py}
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("proxy")
        port = start[kind](stack, certificates if with_tls else None, folder)
        origin = f"http{'s' if with_tls else ''}://{CREDENTIALS}@localhost:{port}"
        yield {"proxy": {"origin": origin, "tls": {"ca": certificates.ca}} if with_tls else origin}


def start_ours(stack: ExitStack, certificates: Certificates | None, folder: Path) -> int:
    options = ["0", "--password", f"{USER}:{PASSWORD}"]
    if certificates is not None:
        options += ["--cert", certificates.cert, "--key", certificates.key]
    program = stack.enter_context(programs.python(PROXY, *options))
    return int(program.wait_for_line(r"^tunnels on port (\d+)$")[1])


def start_tinyproxy(stack: ExitStack, certificates: Certificates | None, folder: Path) -> int:
    port = find_port()
    config = folder / "tinyproxy.conf"
    # Its configuration has no way to write a space or a colon.
    config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\n")
    start(stack, port, programs.require("tinyproxy"), "-d", "-c", str(config))
    return port


def start_proxy_py(stack: ExitStack, certificates: Certificates | None, folder: Path) -> int:
    port = find_port()
    options = ["--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1"]
    options += ["--basic-auth", f"{USER}:{PASSWORD}"]
    if certificates is not None:
        options += ["--cert-file", certificates.cert, "--key-file", certificates.key]
    start(stack, port, sys.executable, "-m", "proxy", *options)
    return port


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def start(stack: ExitStack, port: int, *command: str) -> None:
    """Start a program that says nothing, and wait until it listens."""
    # Not killed at the end: it has to end the processes that it has started.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait, 15)
    stack.callback(process.terminate)
    with gevent.Timeout(20):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                gevent.sleep(0.02)
            else:
                return
