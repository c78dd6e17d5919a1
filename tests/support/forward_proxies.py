"""Proxies that a client goes through to a server: that of the examples, tinyproxy, proxy.py.

Each asks for the same name and password, if it can.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import gevent

from support import programs
from support.certificates import Certificates
from support.programs import find_port

PROXY = programs.ROOT / "examples" / "proxy_server.py"
# In URLs percent-encoded, as it has to be.
USER, PASSWORD = "us er", "p@ss:word"
CREDENTIALS = "us%20er:p%40ss%3Aword"


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
