"""The servers, the proxies and the certificates of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import programs
from support.certificates import Certificates
from support.forward_proxies import CREDENTIALS, start_ours, start_proxy_py, start_tinyproxy

HERE = Path(__file__).parent
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
