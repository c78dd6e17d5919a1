"""What an extension is, and the page that tells its writers: its examples are run."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

import pytest

from faye_ws.driver import Close, Message
from faye_ws.extensions import Message as ExtensionMessage
from faye_ws.extensions import PermessageDeflate, contract
from support import serving
from support.extended_drivers import Role, open_client, open_server
from support.programs import ROOT
from support.serving import Serving, handshake, wait_for
from support.streams import Cut, feed
from support.wire import WHOLE_TEXT, frame, unframe

connect = serving.connect

PAGE = (ROOT / "docs" / "extensions.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def example_with(text: str) -> dict[str, Any]:
    """Run the example of the page that has a text in it, and return its names."""
    (source,) = (source for source in EXAMPLES if text in source)
    names: dict[str, Any] = {}
    exec(compile(source, "docs/extensions.md", "exec"), names)
    return names


@pytest.mark.parametrize("first", range(256))
def test_the_first_byte_of_a_frame_is_what_a_message_knows_of_it(first: int) -> None:
    message = ExtensionMessage.from_frame(first, b"data", 10)
    assert (message.data, message.max_length) == (b"data", 10)
    assert message.opcode == first & 0x0F
    assert (message.rsv1, message.rsv2, message.rsv3) == (
        bool(first & 0x40),
        bool(first & 0x20),
        bool(first & 0x10),
    )
    assert message.first == first & 0x7F


def test_a_new_message_has_no_reserved_bits() -> None:
    assert ExtensionMessage(1, b"").first == 1
    assert ExtensionMessage(2, b"", rsv2=True).first == 0x22


# The example of the page


@pytest.fixture
def checksum() -> Any:
    """The extension that is the page's example."""
    return example_with("class Checksum")["Checksum"]()


def test_the_example_fits_on_a_screen() -> None:
    (source,) = (source for source in EXAMPLES if "class Checksum" in source)
    assert len([line for line in source.splitlines() if line.strip()]) <= 25


def test_the_example_adds_its_checksum_and_takes_it_off(
    role: Role, cut: Cut, checksum: Any
) -> None:
    driver = role.open("x-checksum", checksum)
    driver.text("Hello")
    ((first, payload),) = unframe(driver.data_to_send())
    assert (first, payload) == (0xA1, b"Hello\xf7\xd1\x89\x82")
    assert feed(driver, cut(role.frame(first, payload))) == [Message("Hello")]
    assert feed(driver, cut(role.frame(WHOLE_TEXT, b"plain"))) == [Message("plain")]


def test_the_example_refuses_a_wrong_checksum(role: Role, checksum: Any) -> None:
    driver = role.open("x-checksum", checksum)
    (close,) = feed(driver, [role.frame(0xA1, b"Hello\xf7\xd1\x89\x83")])
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (1010, "x-checksum: the checksum is wrong")


def test_the_example_goes_along_with_compression(checksum: Any) -> None:
    header = "x-checksum, permessage-deflate"
    client = open_client(header, checksum, PermessageDeflate(min_size=0))
    server = open_server(header, checksum, PermessageDeflate(min_size=0))
    for sender, receiver in ((client, server), (server, client)):
        for _ in range(3):
            sender.text("Hello, world!")
            data = sender.data_to_send()
            assert unframe(data)[0][0] == 0xE1
            assert feed(receiver, [data]) == [Message("Hello, world!")]


def test_the_example_works_in_an_application(connect: Serving, checksum: Any) -> None:
    path = connect.expect(
        lambda ws: ws.on("message", lambda event: ws.send(event.data)), extensions=[checksum]
    )
    peer = connect.dial()
    peer.open(handshake(path, {"Sec-WebSocket-Extensions": "x-checksum"}))
    assert b"Sec-WebSocket-Extensions: x-checksum" in peer.head
    peer.send(serving.frame(0xA1, b"Hello\xf7\xd1\x89\x82"))
    assert peer.read_frame() == (0xA1, b"Hello\xf7\xd1\x89\x82")
    peer.send(serving.frame(0xA1, b"Hello\0\0\0\0"))
    assert peer.read_close() == (1010, "x-checksum: the checksum is wrong")


def test_the_example_of_the_contract_works() -> None:
    doc = contract.__doc__
    assert doc is not None
    names: dict[str, Any] = {}
    exec(textwrap.dedent(doc[doc.index("    class Reverse") :]), names)
    reverse = names["Reverse"]()
    server, client = open_server("reverse", reverse), open_client("reverse", reverse)
    client.binary(b"abc")
    data = client.data_to_send()
    assert unframe(data) == [(0x82, b"cba")]
    assert feed(server, [data]) == [Message(b"abc")]


# The rest of the page


def test_the_example_of_compression_compresses(connect: Serving) -> None:
    app = example_with("def app(")["app"]
    peer = connect.dial()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    peer.open(handshake(connect.expect(app=app), offer))
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in peer.head
    peer.send(serving.text("a" * 100))
    first, payload = peer.read_frame()
    assert first == 0xC1
    assert len(payload) < 20


def test_the_example_of_a_broadcast_reaches_all_members(connect: Serving) -> None:
    names = example_with("def chat(")
    peers = [connect.dial() for _ in range(3)]
    for peer in peers:
        peer.open(handshake(connect.expect(app=names["chat"])))
    wait_for(lambda: len(names["members"]) == 3, "all have joined")
    peers[0].send(serving.text("hello"))
    assert [peer.read_text() for peer in peers] == ["hello"] * 3
    peers.pop().hang_up()
    wait_for(lambda: len(names["members"]) == 2, "one has left")


def test_the_page_tells_every_option_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", PAGE, re.MULTILINE))
    parameters = inspect.signature(PermessageDeflate).parameters.values()
    assert told == {parameter.name: repr(parameter.default) for parameter in parameters}


@pytest.mark.parametrize("protocol", ["Extension", "ClientSession", "ServerSession"])
def test_the_page_tells_every_method_of_the_contract(protocol: str) -> None:
    members = inspect.getmembers(getattr(contract, protocol), inspect.isfunction)
    methods = [name for name, _ in members if not name.startswith("_")]
    assert methods
    for name in methods:
        assert re.search(rf"^\| `{name}\(", PAGE, re.MULTILINE), name


def test_a_frame_that_the_example_does_not_mark_may_not_be_marked(checksum: Any) -> None:
    driver = open_client("x-checksum", checksum)
    (close,) = feed(driver, [frame(0xC1, b"Hello")])
    assert isinstance(close, Close)
    assert close.code == 1002
