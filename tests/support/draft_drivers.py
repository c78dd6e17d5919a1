"""Drivers that speak the drafts hixie-75 and hixie-76, at the points where tests begin."""

from __future__ import annotations

from typing import Any

from faye_ws.driver import Driver, Open, Server
from support import drafts
from support.drafts import HIXIE_75, HIXIE_76, VERSIONS
from support.streams import take

EXAMPLES = {HIXIE_75: drafts.EXAMPLE_75, HIXIE_76: drafts.EXAMPLE_76}


def open_driver(version: str, **options: Any) -> Driver:
    """Return a driver whose handshake is done and told."""
    driver = connecting(version, **options)
    if version == HIXIE_76:
        driver.receive_data(drafts.EXAMPLE_76[-8:])
    assert take(driver)[-1] == Open()
    driver.data_to_send()
    return driver


def connecting(version: str, **options: Any) -> Server:
    """Return a driver that has sent its response, and got nothing behind the request."""
    driver = Server(versions=VERSIONS, **options)
    driver.receive_data(EXAMPLES[version].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    driver.events()
    assert driver.start()
    return driver
