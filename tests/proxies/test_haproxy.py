"""Behind HAProxy, as examples/haproxy.cfg has it: every protocol, and what is not said in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from faye_ws import Client
from faye_ws.extensions import PermessageDeflate
from support import drafts, programs
from support.programs import find_port
from support.reverse_proxies import DEADLINE, dial, serve, wait_until_it_listens
from support.streams import Cut, bytewise

CONFIG = programs.ROOT / "examples" / "haproxy.cfg"


def run_haproxy(config: str, folder: Path) -> programs.Program:
    path = folder / "haproxy.cfg"
    path.write_text(config)
    # -db: in the foreground, without a process above it that would have to be ended, too.
    return programs.Program([programs.require("haproxy"), "-db", "-f", path])


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serve() as port:
        yield port


@pytest.fixture(scope="module")
def port(server: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    front = find_port()
    config = CONFIG.read_text().replace(":7080", f":{front}").replace(":7000", f":{server}")
    with run_haproxy(config, tmp_path_factory.mktemp("haproxy")):
        wait_until_it_listens(front)
        yield front


def test_haproxy_has_no_complaint_about_the_example() -> None:
    command = [programs.require("haproxy"), "-c", "-f", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    print(subprocess.run([command[0], "-v"], capture_output=True, text=True).stdout)
    assert done.returncode == 0
    assert "WARNING" not in done.stderr


def test_rfc_6455_with_our_client(port: int) -> None:
    url = f"ws://127.0.0.1:{port}/echo"
    with Client(url, extensions=[PermessageDeflate()]) as ws:
        greeting = ws.receive(DEADLINE)
        print(greeting)
        assert greeting == "hybi-13 for 127.0.0.1"
        assert ws.extensions.startswith("permessage-deflate")
        for message in ("héllo" * 1000, bytes(100_000), ""):
            ws.send(message)
            assert ws.receive(DEADLINE) == message
        ws.close(4000, "enough")
        close = ws.wait_closed(DEADLINE)
    assert (close.code, close.reason, close.was_clean) == (4000, "enough", True)


def test_rfc_6455_with_a_client_of_others(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/echo", proxy=None) as ws:
        assert ws.recv(DEADLINE) == "hybi-13 for 127.0.0.1"
        ws.send("hello")
        assert ws.recv(DEADLINE) == "hello"


@pytest.mark.parametrize("version", drafts.DRAFTS)
def test_the_old_drafts(port: int, version: str, cut: Cut) -> None:
    client = drafts.Client(dial(port), version, f"127.0.0.1:{port}")
    client.open(cut, early=drafts.text("early"))
    # These go through unread, so nobody can say for whom.
    greeting = client.read_text()
    print(greeting)
    assert greeting == f"{version} for nobody"
    assert client.read_text() == "early"
    client.send(drafts.sized(b"skipped") + drafts.text("héllo"), cut)
    assert client.read_text() == "héllo"
    client.close()


def test_the_last_key_of_hixie_76_after_our_head(port: int) -> None:
    client = drafts.Client(dial(port), drafts.HIXIE_76, f"127.0.0.1:{port}")
    client.open(bytewise, is_late=True)
    assert client.read_text() == "hixie-76 for nobody"
    client.close()


def test_in_http_mode_haproxy_takes_the_drafts_for_bad_requests(
    server: int, tmp_path: Path
) -> None:
    # Should this fail with a newer HAProxy, then the example can be simpler.
    front = find_port()
    config = (
        "defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        f"frontend all\n bind 127.0.0.1:{front}\n default_backend sockets\n"
        f"backend sockets\n option http-server-close\n server one 127.0.0.1:{server}\n"
    )
    with run_haproxy(config, tmp_path):
        wait_until_it_listens(front)
        client = drafts.Client(dial(front), drafts.HIXIE_76, f"127.0.0.1:{front}")
        client.send(client.request + client.last_key)
        answer = client.read_to_end()
        client.socket.close()
        print(answer.partition(b"\r\n")[0])
        assert answer.startswith(b"HTTP/1.1 400 ")


def test_events_arrive_at_once(port: int) -> None:
    command = [programs.require("curl"), "-sN", "-H", "Accept: text/event-stream"]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([*command, f"{url}/ticks"], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline().startswith(b"retry: ")
        for _ in range(3):
            # Each is made when the one before it has come.
            assert requests.get(f"{url}/tick", timeout=DEADLINE).text == "1"
            while (line := curl.stdout.readline()) != b"data: tick\n":
                assert line in (b"\n", b":\n"), line
            print(line)
        curl.terminate()


def test_requests_for_pages_share_a_connection(port: int) -> None:
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(f"http://127.0.0.1:{port}/", timeout=DEADLINE)
            assert answer.status_code == 200
