"""Behind nginx, as the README has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from support import drafts, programs
from support.programs import find_port
from support.reverse_proxies import DEADLINE, dial, serve, wait_until_it_listens
from support.streams import Cut, bytewise

README = programs.ROOT / "README.md"
FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("nginx")
    front = find_port()
    with serve() as server:
        run = run_nginx(folder, front, server)
        with run as program:
            wait_until_it_listens(front)
            yield front
            # Not killed: its worker would live on.
            program.stop()


def run_nginx(folder: Path, front: int, server: int) -> programs.Program:
    location = re.search(r"```nginx\n(.*?)```", README.read_text(), re.DOTALL)
    assert location is not None
    paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in FOLDERS)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}server {{ listen 127.0.0.1:{front};\n"
        + location[1].replace(":8000", f":{server}")
        + "} }\n"
    )
    return programs.Program([programs.require("nginx"), "-c", str(config)])


def test_rfc_6455(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/echo", proxy=None) as ws:
        assert ws.recv(DEADLINE) == "hybi-13 for nobody"
        ws.send("hello")
        assert ws.recv(DEADLINE) == "hello"


def test_hixie_76(port: int, cut: Cut) -> None:
    client = drafts.Client(dial(port), drafts.HIXIE_76, f"127.0.0.1:{port}")
    client.open(cut, early=drafts.text("early"))
    assert client.read_text() == "hixie-76 for nobody"
    assert client.read_text() == "early"
    client.close()


def test_the_last_key_of_hixie_76_after_our_head(port: int) -> None:
    client = drafts.Client(dial(port), drafts.HIXIE_76, f"127.0.0.1:{port}")
    client.open(bytewise, is_late=True)
    assert client.read_text() == "hixie-76 for nobody"
    client.close()
