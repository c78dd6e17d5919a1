"""Chromium's own EventSource, npm's and curl, through restarts and proxies."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from support import programs
from support.event_streams import DEADLINE, serve
from support.programs import find_port

pytestmark = pytest.mark.timeout(120)


def wait_for_events(browser: webdriver.Chrome, count: int) -> list[list[Any]]:
    """Return what the page has heard, when there are so many events in it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        heard: list[list[Any]] = browser.execute_script("return window.heard")
        if sum(entry[0] not in ("open", "error") for entry in heard) >= count:
            return heard
        assert time.monotonic() < deadline, heard
        time.sleep(0.05)


def check_counting(heard: list[list[Any]]) -> None:
    """Check that not one event is missing, and none came twice."""
    events = [entry for entry in heard if entry[0] not in ("open", "error")]
    for number, (kind, data, id) in enumerate(events):
        assert (kind, data, id) == (
            "message" if number % 2 else "tick",
            f"event {number}",
            str(number),
        )


@pytest.mark.parametrize("name", ["pywsgi", "gevent"])
def test_nothing_is_lost_when_the_server_is_started_again(
    chromium: webdriver.Chrome, name: str
) -> None:
    port = find_port()
    with serve(name, port) as server:
        chromium.get(server.url("/page"))
        wait_for_events(chromium, 5)
    time.sleep(0.2)
    with serve(name, port):
        before = len(chromium.execute_script("return window.heard"))
        heard = wait_for_events(chromium, before + 5)
        chromium.get("about:blank")
    assert ["error", 0] in heard
    assert heard.count(["open"]) >= 2
    check_counting(heard)


def test_an_answer_of_204_stops_a_browser(chromium: webdriver.Chrome) -> None:
    with serve("pywsgi") as server:
        chromium.get(server.url("/page#stop"))
        deadline = time.monotonic() + DEADLINE
        while chromium.execute_script("return window.heard") != [["error", 2]]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        chromium.get("about:blank")


@pytest.fixture
def nginx(tmp_path: Path) -> Any:
    """Return what runs nginx before a port, as it is configured by default."""

    def run(port: int) -> tuple[programs.Program, int]:
        front = find_port()
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr;\n"
            "events {}\n"
            "http {\n"
            f"  access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b;\n"
            f"  fastcgi_temp_path {tmp_path}/c; uwsgi_temp_path {tmp_path}/d;\n"
            f"  scgi_temp_path {tmp_path}/e;\n"
            f"  server {{ listen 127.0.0.1:{front};\n"
            f"    location / {{ proxy_pass http://127.0.0.1:{port}; }} }}\n"
            "}\n"
        )
        return programs.Program([programs.require("nginx"), "-c", str(config)]), front

    return run


def test_events_come_at_once_through_nginx_with_its_defaults(nginx: Any) -> None:
    with serve("pywsgi") as server:
        program, front = nginx(server.port)
        with program:
            command = [
                programs.require("curl"),
                "-sN",
                "--retry",
                "20",
                "--retry-connrefused",
                "--retry-delay",
                "0",
                "-H",
                "Accept: text/event-stream",
            ]
            command.append(f"http://127.0.0.1:{front}/")
            with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
                assert curl.stdout is not None
                lines = [curl.stdout.readline() for _ in range(9)]
                curl.terminate()
            server.wait_closed()
            # Not killed: its worker would live on.
            program.stop()
    assert lines[0] == b"retry: 100\n"
    assert lines[4] == b"data: event 0\n"
    assert lines[7] == b"data: event 1\n"
