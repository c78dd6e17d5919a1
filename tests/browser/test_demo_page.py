"""The demo, `examples/server.py` and its page, as somebody at a browser meets it."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from support import programs

SERVER = programs.ROOT / "examples" / "server.py"

pytestmark = pytest.mark.timeout(120)


class Page:
    """The page in the browser: what its reader can do and see."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self._wait = WebDriverWait(driver, 15, poll_frequency=0.02)
        driver.get(url)

    def set(self, id: str, value: object) -> None:
        field = self.driver.find_element(By.ID, id)
        field.clear()
        field.send_keys(str(value))

    def choose(self, value: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"[value={value}]").click()

    def press(self, id: str) -> None:
        self.driver.find_element(By.ID, id).click()

    def read(self, id: str) -> str:
        return self.driver.find_element(By.ID, id).text

    def connect(self, protocols: str = "") -> str:
        """Connect, and return what the log says about it."""
        self.set("protocols", protocols)
        self.press("connect")
        return self.wait_for_entry("open")

    def close(self, code: int, reason: str, closer: str = "page") -> str:
        """Close the connection, and return what the log says about it."""
        self.choose(closer)
        self.set("code", code)
        self.set("reason", reason)
        self.press("close")
        return self.wait_for_entry("close")

    def wait_for_entry(self, type: str, way: str = "event", number: int = 1) -> str:
        """Return the text of the nth entry of a kind in the log, when it is there."""
        selector = f'#log [data-type="{type}"][data-way="{way}"]'
        self._wait.until(
            lambda driver: len(driver.find_elements(By.CSS_SELECTOR, selector)) >= number,
            f"no entry number {number} of {selector}",
        )
        entry = self.driver.find_elements(By.CSS_SELECTOR, selector)[number - 1]
        what, facts = (
            entry.find_element(By.CLASS_NAME, name).get_attribute("textContent")
            for name in ("what", "facts")
        )
        return f"{what} | {facts}"

    def console(self) -> list[str]:
        """Return what the browser has written to its console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with programs.python(SERVER, "0") as server:
        yield server.wait_for_line("http://[^ ]+")[0]
        assert server.stop() == 0
        assert server.errors() == ""


@pytest.fixture
def page(chromium: webdriver.Chrome, server: str) -> Iterator[Page]:
    page = Page(chromium, server)
    yield page
    chromium.get("about:blank")
    assert page.console() == []


def test_it_connects_and_disconnects(page: Page) -> None:
    assert page.read("state") == "Closed"
    assert page.connect() == "Open | "
    assert page.read("state") == "Open"
    page.press("connect")
    assert page.wait_for_entry("close") == "Closed with 1005 (no status received) | clean"
    assert page.read("state") == "Closed"


def test_it_shows_the_subprotocol_that_the_server_chose(page: Page) -> None:
    assert page.connect("amqp, irc") == "Open, speaking amqp | "


def test_a_refused_offer_of_subprotocols_is_explained(page: Page) -> None:
    page.set("protocols", "soap")
    page.press("connect")
    assert page.wait_for_entry("close") == "Closed with 1006 (abnormal closure) | not clean"
    assert all("'Sec-WebSocket-Protocol' header" in line for line in page.console())


def test_text_comes_back(page: Page) -> None:
    page.connect()
    page.set("text", "Grüße, 世界!")
    page.press("send")
    assert page.wait_for_entry("text", "out") == "Grüße, 世界! | 16 B"
    assert re.fullmatch(r"Grüße, 世界! \| [\d.]+ ms · 16 B", page.wait_for_entry("text", "in"))
    assert re.fullmatch(r"[\d.]+ ms", page.read("echo-time"))


def test_an_empty_text_comes_back(page: Page) -> None:
    page.connect()
    page.set("text", "")
    page.press("send")
    assert page.wait_for_entry("text", "in").startswith(" | ")
    assert (page.read("sent-count"), page.read("received-count")) == ("1", "1")


def test_bytes_come_back(page: Page) -> None:
    page.connect()
    page.choose("hex")
    page.set("hex", "00 ff 80c3 28")
    page.press("send")
    assert page.wait_for_entry("binary", "out") == "00 ff 80 c3 28 | 5 B"
    assert page.wait_for_entry("binary", "in").startswith("00 ff 80 c3 28 | ")


def test_half_a_byte_is_not_sent(page: Page) -> None:
    page.connect()
    page.choose("hex")
    page.set("hex", "00 f")
    page.press("send")
    assert "Not hexadecimal" in page.wait_for_entry("error")
    assert page.read("sent-count") == "0"


def test_a_file_comes_back(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "megabyte"
    file.write_bytes(bytes(range(256)) * 4096)
    page.connect()
    page.choose("file")
    page.driver.find_element(By.ID, "file").send_keys(str(file))
    page.press("send")
    entry = page.wait_for_entry("binary", "in")
    assert entry.startswith("00 01 02 ")
    assert entry.endswith("1.0 MiB")


def test_the_server_times_a_ping(page: Page) -> None:
    page.connect()
    page.press("ping")
    assert re.match(r"A ping took [\d.]+ ms", page.wait_for_entry("ping", "in"))
    assert re.fullmatch(r"[\d.]+ ms", page.read("ping-time"))


def test_it_closes_with_a_code(page: Page) -> None:
    page.connect()
    entry = page.close(4321, "genug für heute")
    assert entry.startswith("Closed with 4321")
    assert entry.endswith("| clean")
    assert page.read("state") == "Closed"


def test_the_code_and_reason_of_the_server_are_shown(page: Page) -> None:
    page.connect()
    entry = page.close(4321, "genug für heute", closer="server")
    assert entry == "Closed with 4321: genug für heute | clean"
    assert page.read("state") == "Closed"


def test_a_code_that_the_page_may_not_use_is_explained(page: Page) -> None:
    page.connect()
    page.choose("page")
    page.set("code", 1001)
    page.press("close")
    assert "1001" in page.wait_for_entry("error")
    assert page.read("state") == "Open"


def test_a_code_that_the_server_may_not_use_is_explained(page: Page) -> None:
    page.connect()
    page.choose("server")
    page.set("code", 1005)
    page.press("close")
    assert "1005" in page.wait_for_entry("error", "in")
    assert page.read("state") == "Open"


def test_a_server_that_dies_is_a_1006_and_its_successor_is_welcome(
    chromium: webdriver.Chrome,
) -> None:
    with programs.python(SERVER, "0") as first:
        url = first.wait_for_line("http://[^ ]+")[0]
        page = Page(chromium, url)
        page.connect()
        first.stop(signal.SIGKILL)
        lost = "Closed with 1006 (abnormal closure) | not clean"
        assert page.wait_for_entry("close", number=1) == lost
        page.press("connect")
        assert page.wait_for_entry("close", number=2) == lost
        assert page.read("state") == "Closed"
    port = url.rstrip("/").rpartition(":")[2]
    with programs.python(SERVER, port) as second:
        second.wait_for_line("http://[^ ]+")
        page.press("connect")
        assert page.wait_for_entry("open", number=2) == "Open | "
        page.press("connect")
        page.wait_for_entry("close", number=3)
    # The browser itself reports the connection that was refused, and nothing else.
    assert len(page.console()) == 1


def test_the_server_prints_a_line_for_each_opening_and_closing(chromium: webdriver.Chrome) -> None:
    with programs.python(SERVER, "0") as server:
        page = Page(chromium, server.wait_for_line("http://[^ ]+")[0])
        page.connect("irc")
        server.wait_for_line(r"^open  127\.0\.0\.1:\d+ ws://127\.0\.0\.1:\d+/ irc$")
        page.close(4000, "bye")
        server.wait_for_line(r"^close 127\.0\.0\.1:\d+ 4000 'bye'$")


def test_a_port_in_use_is_one_line_on_the_terminal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with programs.Program([sys.executable, SERVER, str(port)]) as server:
            assert server.process.wait(15) == 1
            assert re.fullmatch("can't listen: Address already in use.*\n", server.errors())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_the_page_fits_the_screen(
    page: Page, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        page.connect()
        page.driver.execute_script("send('word '.repeat(200)); send('x'.repeat(1000));")
        page.wait_for_entry("text", "in", number=2)
        page.press("ping")
        page.wait_for_entry("ping", "in")
        assert page.driver.save_screenshot(str(tmp_path / "page.png"))
        content = page.driver.execute_script("return document.documentElement.scrollWidth")
        assert content == width
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
