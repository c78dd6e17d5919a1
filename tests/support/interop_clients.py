"""Real clients that hold the conversation of a script: those of Python, Node.js, Chromium."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket
import websockets.asyncio.client
import websockets.sync.client
from selenium import webdriver
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support import programs
from support.conversation import Message, Outcome, Script

Client = Callable[[Script], Outcome]

HERE = Path(__file__).parent.parent / "interop"
TIMEOUT = 20


def websockets_options(script: Script) -> dict[str, Any]:
    return {
        "subprotocols": script.protocols or None,
        "origin": script.origin,
        "max_size": None,
        "proxy": None,
        "open_timeout": TIMEOUT,
        "close_timeout": TIMEOUT,
    }


def websockets_threads(script: Script) -> Outcome:
    """Converse through `websockets`, whose threads block."""
    try:
        connection = websockets.sync.client.connect(script.url, **websockets_options(script))
    except InvalidStatus as error:
        return Outcome(status=error.response.status_code)
    outcome = Outcome(protocol=connection.subprotocol or "")
    with connection:
        if script.ping is not None:
            assert connection.ping(script.ping).wait(TIMEOUT)
            outcome.pong = script.ping
        for message in script.messages:
            connection.send(message)
            if not script.at_once:
                outcome.messages.append(connection.recv(TIMEOUT))
        while len(outcome.messages) < script.answers:
            outcome.messages.append(connection.recv(TIMEOUT))
        if script.close is not None:
            connection.close(*script.close)
        else:
            with suppress(ConnectionClosed):
                connection.recv(TIMEOUT)
    outcome.code, outcome.reason = connection.close_code, connection.close_reason or ""
    return outcome


def websockets_asyncio(script: Script) -> Outcome:
    """Converse through `websockets`, on asyncio."""
    return asyncio.run(asyncio.wait_for(_websockets_asyncio(script), 2 * TIMEOUT))


async def _websockets_asyncio(script: Script) -> Outcome:
    try:
        connection = await websockets.asyncio.client.connect(
            script.url, **websockets_options(script)
        )
    except InvalidStatus as error:
        return Outcome(status=error.response.status_code)
    outcome = Outcome(protocol=connection.subprotocol or "")
    async with connection:
        if script.ping is not None:
            await (await connection.ping(script.ping))
            outcome.pong = script.ping
        for message in script.messages:
            await connection.send(message)
            if not script.at_once:
                outcome.messages.append(await connection.recv())
        while len(outcome.messages) < script.answers:
            outcome.messages.append(await connection.recv())
        if script.close is not None:
            await connection.close(*script.close)
        await connection.wait_closed()
    outcome.code, outcome.reason = connection.close_code, connection.close_reason or ""
    return outcome


def websocket_client(script: Script) -> Outcome:
    """Converse through `websocket-client`."""
    try:
        connection = websocket.create_connection(
            script.url, TIMEOUT, subprotocols=script.protocols, origin=script.origin
        )
    except websocket.WebSocketBadStatusException as error:
        return Outcome(status=error.status_code)
    outcome = Outcome(protocol=connection.subprotocol or "")
    try:
        if script.ping is not None:
            connection.ping(script.ping)
            opcode, outcome.pong = connection.recv_data(control_frame=True)
            assert opcode == websocket.ABNF.OPCODE_PONG
        for message in script.messages:
            if isinstance(message, str):
                connection.send(message)
            else:
                connection.send_binary(message)
            if not script.at_once:
                outcome.messages.append(_receive(connection))
        while len(outcome.messages) < script.answers:
            outcome.messages.append(_receive(connection))
        if script.close is not None:
            code, reason = script.close or (1000, "")
            connection.send_close(code, reason.encode())
        opcode, payload = connection.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        outcome.code = int.from_bytes(payload[:2], "big") or 1005
        outcome.reason = payload[2:].decode()
    finally:
        connection.shutdown()  # type: ignore[no-untyped-call]
    return outcome


def _receive(connection: websocket.WebSocket) -> Message:
    opcode, data = connection.recv_data()
    return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else bytes(data)


def node(module: str, script: Script, **options: Any) -> Outcome:
    """Converse through a client on Node.js."""
    programs.require_node_module(module, HERE)
    command = [programs.require("node"), str(HERE / "node_client.js"), module]
    done = subprocess.run(
        command,
        input=json.dumps({**script.to_json(), **options}).encode(),
        capture_output=True,
        timeout=2 * TIMEOUT,
    )
    assert done.returncode == 0, done.stderr.decode()
    return Outcome.from_json(json.loads(done.stdout))


def chromium(driver: webdriver.Chrome, script: Script) -> Outcome:
    """Converse through the WebSocket of a page of the same server."""
    page = f"http://{urlsplit(script.url).netloc}/"
    if driver.current_url != page:
        driver.get(page)
    code = (HERE / "conversation.js").read_text() + (
        "const [script, done] = arguments;"
        "converse(new WebSocket(script.url, script.protocols), script).then(done);"
    )
    return Outcome.from_json(driver.execute_async_script(code, script.to_json()))


CLIENTS: dict[str, Client] = {
    "websockets-threads": websockets_threads,
    "websockets-asyncio": websockets_asyncio,
    "websocket-client": websocket_client,
    "ws": partial(node, "ws"),
    "faye-websocket": partial(node, "faye-websocket"),
}
