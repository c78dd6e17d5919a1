"""What a newcomer does first: a script of five lines, run as a program."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support import programs
from support.certificates import Certificates
from support.forward_proxies import CREDENTIALS, PASSWORD, PROXY, USER

SCRIPT = """
import sys
from faye_ws import Client
with Client(sys.argv[1], proxy=sys.argv[2], ca=sys.argv[3], protocols=["irc"]) as ws:
    ws.send("Hello, world!")
    print(ws.receive(timeout=10))
"""


def run(*arguments: str, script: str = SCRIPT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, env={**os.environ, **env}
    )


@pytest.mark.parametrize("server", ["ws"], indirect=True)
def test_a_script_talks_to_a_wss_server_through_a_proxy_with_a_password(
    server: dict[str, str], certificates: Certificates
) -> None:
    with programs.python(PROXY, "0", "--password", f"{USER}:{PASSWORD}") as proxy:
        port = proxy.wait_for_line(r"^tunnels on port (\d+)$")[1]
        origin = f"http://{CREDENTIALS}@localhost:{port}"
        done = run(server["secure"] + "/", origin, certificates.ca)
        assert (done.stdout, done.stderr) == ("Hello, world!\n", "")
        refused = run(server["secure"] + "/", f"http://localhost:{port}", certificates.ca)
        assert "407 Proxy Authentication Required" in refused.stderr.splitlines()[-1]
        assert proxy.stop() == 0
        assert proxy.errors() == ""


@pytest.mark.parametrize("server", ["faye_ws"], indirect=True)
def test_the_example_talks_both_ways(server: dict[str, str]) -> None:
    example = (programs.ROOT / "examples" / "client.py").read_text()
    done = run(server["plain"] + "/", script=example)
    assert done.stdout.splitlines() == [
        "received Hello",
        "received world",
        "heard Hello, listeners",
        "closed 1000 that was all",
    ]
    assert done.stderr == ""


@pytest.mark.parametrize("patched", [False, True], ids=["", "monkey-patched"])
@pytest.mark.parametrize("server", ["websockets"], indirect=True)
def test_it_works_with_and_without_monkey_patching(
    server: dict[str, str], certificates: Certificates, patched: bool
) -> None:
    script = SCRIPT.replace("proxy=sys.argv[2]", "proxy=False")
    if patched:
        script = "from gevent import monkey; monkey.patch_all()\n" + script
    done = run(server["secure"] + "/", "", certificates.ca, script=script)
    assert (done.stdout, done.stderr) == ("Hello, world!\n", "")
