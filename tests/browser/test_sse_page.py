"""The page of event streams in the demo."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from support import programs

SERVER = programs.ROOT / "examples" / "server.py"

pytestmark = pytest.mark.timeout(120)


def test_ticks_go_on_through_a_restart_and_messages_reach_the_page(
    chromium: webdriver.Chrome,
) -> None:
    def wait_until(condition: Callable[[], object]) -> None:
        WebDriverWait(chromium, 20, poll_frequency=0.05).until(lambda _: condition())

    def read(id: str) -> str:
        return chromium.find_element(By.ID, id).text

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with programs.python(SERVER, port) as server:
        url = server.wait_for_line(r"^http://\S+")[0]
        chromium.get(url + "sse")
        wait_until(lambda: read("state") == "open" and int(read("count")) >= 2)
        chromium.find_element(By.ID, "text").send_keys("Hello, pages")
        chromium.find_element(By.CSS_SELECTOR, "button.main").click()
        wait_until(lambda: "Hello, pages" in read("log"))
        assert server.stop(signal.SIGINT) == 0
        assert server.errors() == ""
    wait_until(lambda: read("state") == "connecting")
    with programs.python(SERVER, port) as server:
        server.wait_for_line(r"^http://\S+")
        wait_until(lambda: read("state") == "open")
        before = int(read("count"))
        wait_until(lambda: int(read("count")) > before + 1)
        assert read("missed") == "0"
        chromium.find_element(By.ID, "toggle").click()
        wait_until(lambda: read("state") == "closed")
        chromium.find_element(By.ID, "toggle").click()
        wait_until(lambda: read("state") == "open")
        chromium.get("about:blank")
        assert server.stop(signal.SIGINT) == 0
        assert server.errors() == ""
