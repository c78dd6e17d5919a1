"""permessage-deflate between our server and the clients of others."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import websockets.sync.client
from selenium import webdriver
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from faye_ws.extensions.header import parse_header
from support import programs
from support.deflate_conversation import MESSAGES, POLICIES, Message, count_compressed, pack, unpack

HERE = Path(__file__).parent
TIMEOUT = 20

# What is answered to the messages, and to "report".
Outcome = tuple[list[Message], dict[str, Any]]

policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
pytestmark = pytest.mark.timeout(180)


def url_of(port: int, policy: dict[str, Any]) -> str:
    return f"ws://127.0.0.1:{port}/?{quote(json.dumps(policy))}"


def split(answers: list[Message]) -> Outcome:
    *messages, report = answers
    assert isinstance(report, str)
    return messages, json.loads(report)


# The clients, with all that they can be made to offer


def converse_with_websockets(url: str) -> Iterable[tuple[str, Outcome]]:
    for policy in itertools.product(
        (False, True), (False, True), (None, 9, 12, 15), (None, True, 9, 15)
    ):
        factory = ClientPerMessageDeflateFactory(*policy)
        with websockets.sync.client.connect(
            url, extensions=[factory], compression=None, max_size=None, proxy=None
        ) as connection:
            for number, message in enumerate(MESSAGES):
                # It compresses the fragments one by one.
                middle = len(message) // 2
                parts = [message[:1], message[1:middle], message[middle:]]
                connection.send(parts if number % 2 else message)
            connection.send("report")
            answers = [connection.recv(TIMEOUT) for _ in (*MESSAGES, "report")]
        yield repr(factory.get_request_params()), split(answers)


# The names of takeover and window of the server's side and of the client's, and what those
# of the client's window can be.
NODE_OPTIONS: dict[str, tuple[tuple[str, ...], tuple[object, ...]]] = {
    "ws": (
        (
            "serverNoContextTakeover",
            "serverMaxWindowBits",
            "clientNoContextTakeover",
            "clientMaxWindowBits",
        ),
        (True, False, 9, 15),
    ),
    "faye-websocket": (
        (
            "requestNoContextTakeover",
            "requestMaxWindowBits",
            "noContextTakeover",
            "maxWindowBits",
        ),
        (None, 9, 12, 15),
    ),
}


def node_offers(module: str) -> list[dict[str, Any]]:
    names, own_windows = NODE_OPTIONS[module]
    choices = itertools.product((None, True), (None, 9, 15), (None, True), own_windows)
    return [
        {name: value for name, value in zip(names, chosen, strict=True) if value is not None}
        for chosen in choices
    ]


def converse_on_node(module: str, conversations: list[tuple[str, dict[str, Any]]]) -> list[Outcome]:
    for needed in (module, "permessage-deflate"):
        programs.require_node_module(needed, HERE)
    script = {
        "messages": [pack(message) for message in MESSAGES],
        "conversations": [
            {"module": module, "url": url, "options": options} for url, options in conversations
        ],
    }
    done = subprocess.run(
        [programs.require("node"), str(HERE / "node_client.js")],
        input=json.dumps(script).encode(),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    outcomes = json.loads(done.stdout)
    assert [outcome["code"] for outcome in outcomes] == [1000] * len(conversations), outcomes
    return [split([unpack(answer) for answer in outcome["answers"]]) for outcome in outcomes]


def converse_with_node(module: str, url: str) -> Iterable[tuple[str, Outcome]]:
    offers = node_offers(module)
    return zip(map(str, offers), converse_on_node(module, [(url, o) for o in offers]), strict=True)


CLIENTS: dict[str, Callable[[str], Iterable[tuple[str, Outcome]]]] = {
    "websockets": converse_with_websockets,
    "ws": lambda url: converse_with_node("ws", url),
    "faye-websocket": lambda url: converse_with_node("faye-websocket", url),
}


@policies
@pytest.mark.parametrize("client", CLIENTS)
def test_all_offers_of_a_client_lead_to_a_conversation(
    port: int, client: str, policy: dict[str, Any]
) -> None:
    negotiated = set()
    for offer, (messages, report) in CLIENTS[client](url_of(port, policy)):
        assert messages == MESSAGES, offer
        # It was compressed in both directions: all messages and the question of a report.
        assert report["came"] >= len([m for m in MESSAGES if m]), offer
        assert report["went"] == count_compressed(policy), offer
        negotiated.add(report["extensions"])
        ((name, params),) = parse_header(report["extensions"])
        assert name == "permessage-deflate"
        check(policy, params)
    print(f"{client}: {len(negotiated)} answers, such as {max(negotiated, key=len)}")


def check(policy: dict[str, Any], params: dict[str, Any]) -> None:
    """Check that what our policy demands is in what was negotiated."""
    if policy.get("no_context_takeover"):
        assert "server_no_context_takeover" in params
    if policy.get("request_no_context_takeover"):
        assert "client_no_context_takeover" in params
    if "max_window_bits" in policy:
        assert params["server_max_window_bits"] <= policy["max_window_bits"]
    if "request_max_window_bits" in policy and "client_max_window_bits" in params:
        assert params["client_max_window_bits"] <= policy["request_max_window_bits"]


@pytest.mark.parametrize(
    ("module", "options"),
    [("ws", {"serverMaxWindowBits": 8}), ("faye-websocket", {"requestMaxWindowBits": 8})],
    ids=["ws", "faye-websocket"],
)
def test_a_client_whose_offer_is_declined_converses_without(
    port: int, module: str, options: dict[str, Any]
) -> None:
    ((messages, report),) = converse_on_node(module, [(url_of(port, {}), options)])
    assert messages == MESSAGES
    assert report == {"extensions": "", "came": 0, "went": 0}


def test_a_client_that_offers_nothing_converses_without(port: int) -> None:
    with websockets.sync.client.connect(
        url_of(port, {}), compression=None, max_size=None, proxy=None
    ) as connection:
        connection.send(MESSAGES[4])
        connection.send("report")
        assert connection.recv(TIMEOUT) == MESSAGES[4]
        assert json.loads(connection.recv(TIMEOUT))["extensions"] == ""


PAGE = """
const [url, messages, done] = arguments;
const socket = new WebSocket(url);
const answers = [];
const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const pack = (data) => {
  if (typeof data === "string") return { text: data };
  const chars = Array.from(new Uint8Array(data), (byte) => String.fromCharCode(byte));
  return { base64: btoa(chars.join("")) };
};
socket.binaryType = "arraybuffer";
socket.onopen = () => {
  for (const { text, base64 } of messages) {
    socket.send(text === undefined ? bytes(base64) : text);
  }
  socket.send("report");
};
socket.onmessage = ({ data }) => {
  if (answers.push(pack(data)) === messages.length + 1) socket.close(1000);
};
socket.onclose = ({ code }) => done({ code, answers, extensions: socket.extensions });
"""


@policies
def test_chromium_converses_with_every_policy(
    port: int, chromium: webdriver.Chrome, policy: dict[str, Any]
) -> None:
    chromium.get(f"http://127.0.0.1:{port}/")
    packed = [pack(message) for message in MESSAGES]
    outcome = chromium.execute_async_script(PAGE, url_of(port, policy), packed)
    messages, report = split([unpack(answer) for answer in outcome["answers"]])
    assert outcome["code"] == 1000
    assert messages == MESSAGES
    assert report["extensions"] == outcome["extensions"]
    ((_, params),) = parse_header(report["extensions"])
    check(policy, params)
    assert report["came"] >= len([m for m in MESSAGES if m])
    assert report["went"] == count_compressed(policy)
    print(f"Chromium: {report['extensions']}")
