"""Headless Chromium for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from support import programs

_SWITCHES = (
    "--headless",
    # Tests may run as root, whom Chromium gives no sandbox.
    "--no-sandbox",
    "--disable-gpu",
    # It must look for nothing outside of this machine.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A Chromium with an empty profile. `get_log("browser")` returns what its console says."""
    options = webdriver.ChromeOptions()
    options.binary_location = programs.require("chromium")
    profile = tmp_path_factory.mktemp("chromium")
    for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(programs.require("chromedriver")))
    try:
        driver.set_page_load_timeout(15)
        driver.set_script_timeout(30)
        yield driver
    finally:
        driver.quit()
