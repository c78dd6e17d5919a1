"""A thousand misfortunes to one server, many at a time: nothing is left of them."""

from __future__ import annotations

import logging
import random

import pytest
from gevent.pool import Pool

from faye_ws.runtime.reactor import current_reactor
from faye_ws.runtime.workers import Workers
from faye_ws.websocket.phase import LIMITS, Phase
from support import serving
from support.faults import MISFORTUNES, next_message_is_served
from support.serving import (
    DEADLINE,
    PACKAGE,
    Serving,
    take_stock,
    wait_for,
    wait_until_nothing_is_left,
)

connect = serving.connect
fresh_heap = serving.fresh_heap

ROUNDS = 50
MISFORTUNES_PER_ROUND = 30


@pytest.mark.usefixtures("fresh_heap")
def test_nothing_is_left_of_a_thousand_misfortunes(
    connect: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A traceback that is kept keeps everything in it.
    caplog.set_level(logging.CRITICAL, logger="faye_ws")
    monkeypatch.setitem(LIMITS, Phase.ENDING, 0.1)
    # New workers have served nobody yet, and must not keep the first that they serve.
    reactor = current_reactor()
    monkeypatch.setattr(reactor, "workers", Workers(reactor.hub))
    random.seed("the same misfortunes every time")
    assert next_message_is_served(connect)
    connect.forget()
    wait_for(connect.is_idle, "the first connection is gone")
    before = take_stock()
    for _ in range(ROUNDS):
        pool = Pool()
        names = random.choices(list(MISFORTUNES), k=MISFORTUNES_PER_ROUND)
        greenlets = [pool.spawn(MISFORTUNES[name], connect) for name in names]
        assert next_message_is_served(connect)
        assert pool.join(timeout=DEADLINE), "some misfortunes have not happened"
        assert [greenlet.exception for greenlet in greenlets] == [None] * len(greenlets)
        connect.forget()
    wait_for(connect.is_idle, "all connections are gone")
    del pool, greenlets
    wait_until_nothing_is_left(before)
    # The server itself has something to say of peers that leave within the handshake.
    assert PACKAGE not in connect.errors.text
    connect.errors.text = ""
