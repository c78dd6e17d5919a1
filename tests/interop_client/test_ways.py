"""Our client, by every way, to every server."""

from __future__ import annotations

from typing import Any

import gevent.event
import pytest

from faye_ws import Client, InvalidStatus
from faye_ws.extensions import PermessageDeflate
from support.certificates import Certificates

DEADLINE = 30.0
MESSAGES: list[str | bytes] = [
    "Hello, world!",
    "",
    "¢ € 𐍈 \u2028 👩‍🚀",
    b"",
    bytes(range(256)),
    "x" * 65536,
    b"y" * 2**20,
]

plain_and_secure = pytest.mark.parametrize("scheme", ["plain", "secure"])


def connect(url: str, way: dict[str, Any], certificates: Certificates, **options: Any) -> Client:
    if url.startswith("wss:"):
        options["ca"] = certificates.ca
    return Client(url, ["amqp", "irc"], connect_timeout=DEADLINE, **way, **options)


@plain_and_secure
def test_a_conversation(
    server: dict[str, str], way: dict[str, Any], scheme: str, certificates: Certificates
) -> None:
    url = server[scheme] + "/"
    with connect(url, way, certificates) as ws:
        assert (ws.protocol, ws.status_code, ws.url) == ("irc", 101, url)
        for message in MESSAGES:
            ws.send(message)
            assert ws.receive(DEADLINE) == message
        ponged = gevent.event.Event()
        ws.ping("are you there?", ponged.set)
        assert ponged.wait(DEADLINE)
        for message in MESSAGES:
            ws.send(message)
        assert [ws.receive(DEADLINE) for _ in MESSAGES] == MESSAGES
        ws.close(3002, "that was all")
        event = ws.wait_closed(DEADLINE)
        assert (event.code, event.reason, event.was_clean) == (3002, "that was all", True)


@plain_and_secure
def test_messages_are_compressed_for_servers_that_can(
    server: dict[str, str], way: dict[str, Any], scheme: str, certificates: Certificates
) -> None:
    url = server[scheme] + "/"
    with connect(url, way, certificates, extensions=[PermessageDeflate()]) as ws:
        for message in MESSAGES:
            ws.send(message)
            assert ws.receive(DEADLINE) == message


@plain_and_secure
def test_the_server_closes(
    server: dict[str, str], way: dict[str, Any], scheme: str, certificates: Certificates
) -> None:
    ws = connect(server[scheme] + "/close", way, certificates)
    event = ws.wait_closed(DEADLINE)
    assert (event.code, event.reason, event.was_clean) == (3001, "bye", True)


@plain_and_secure
def test_the_server_refuses(
    server: dict[str, str], way: dict[str, Any], scheme: str, certificates: Certificates
) -> None:
    ws = connect(server[scheme] + "/refuse", way, certificates)
    with pytest.raises(InvalidStatus, match="403 Forbidden: no entry") as raised:
        ws.wait_open()
    assert (raised.value.status, ws.status_code) == (403, 403)
    assert ws.wait_closed(DEADLINE).code == 1006
