"""How servers of all versions answer a request that has been read."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.constants import HIXIE_75, HIXIE_76, HYBI_13, ReadyState
from faye_ws.driver import Close, Headers, Open, Request
from faye_ws.driver.http import find_end_of_head, parse_request
from faye_ws.driver.server import choose_driver
from faye_ws.errors import OriginNotAllowed
from support import drafts, wire

VERSIONS = (HYBI_13, HIXIE_76, HIXIE_75)
REQUESTS = {
    HYBI_13: wire.request(),
    HIXIE_75: drafts.EXAMPLE_75,
    HIXIE_76: drafts.EXAMPLE_76,
}


def answer(version: str, origin: str | None = None) -> Any:
    """Return the driver for a request of a version, from a page of some origin."""
    head = REQUESTS[version]
    request = parse_request(head[: find_end_of_head(head)])
    if origin is not None:
        fields = [field for field in request.headers if field[0].lower() != "origin"]
        request = Request("GET", request.target, Headers([*fields, ("Origin", origin)]))
    driver = choose_driver(request, "ws://example.com/demo", versions=VERSIONS)
    assert driver.version == version
    return driver


@pytest.mark.parametrize("version", VERSIONS)
def test_an_acceptance_is_sent_once(version: str) -> None:
    driver = answer(version)
    assert driver.refusal is None
    assert driver.start()
    assert not driver.start()
    assert driver.data_to_send().startswith(b"HTTP/1.1 101 ")
    # The last key of hixie-76 has not come.
    opens = version != HIXIE_76
    assert driver.events() == [Open()] * opens
    assert driver.ready_state is (ReadyState.OPEN if opens else ReadyState.CONNECTING)
    assert driver.refusal is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refusal_is_the_end_and_needs_no_answer(version: str) -> None:
    driver = answer(version, "http://elsewhere.example")
    assert driver.refusal.status == 403
    assert driver.ready_state is ReadyState.CONNECTING
    assert driver.start()
    assert driver.ready_state is ReadyState.CLOSED
    assert not driver.start()
    assert driver.data_to_send() == driver.refusal.serialize()
    [close] = driver.events()
    assert isinstance(close, Close)
    assert isinstance(close.error, OriginNotAllowed)
    assert not driver.answer_close()
    assert driver.data_to_send() == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_that_is_gone_is_not_answered(version: str) -> None:
    driver = answer(version)
    driver.receive_eof()
    assert not driver.start()
    assert driver.events() == [Close(1006)]
    assert driver.answer_close()
    assert driver.ready_state is ReadyState.CLOSED
    assert driver.data_to_send() == b""
