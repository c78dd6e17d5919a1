"""One misfortune at a time: the next message on another connection is served after it."""

from __future__ import annotations

import logging

import pytest

from faye_ws.websocket.phase import LIMITS, Phase
from support import serving
from support.faults import MISFORTUNES, next_message_is_served
from support.serving import PACKAGE, Serving, take_stock, wait_for, wait_until_nothing_is_left

connect = serving.connect
fresh_heap = serving.fresh_heap


@pytest.mark.usefixtures("fresh_heap")
@pytest.mark.parametrize("name", MISFORTUNES)
def test_the_next_message_is_served_and_nothing_is_left(
    connect: Serving,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    # A traceback that is kept keeps everything in it.
    caplog.set_level(logging.CRITICAL, logger="faye_ws")
    monkeypatch.setitem(LIMITS, Phase.ENDING, 0.1)
    assert next_message_is_served(connect)
    connect.forget()
    wait_for(connect.is_idle, "the first connection is gone")
    before = take_stock()
    MISFORTUNES[name](connect)
    assert next_message_is_served(connect)
    connect.forget()
    wait_until_nothing_is_left(before)
    # The server itself has something to say of peers that leave within the handshake.
    assert PACKAGE not in connect.errors.text
    connect.errors.text = ""
