"""A message for many connections: framed and compressed once, and each can read it."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from faye_ws.driver import Close, Message, RequestServer
from faye_ws.driver.prepared import PreparedMessage
from faye_ws.extensions import Message as ExtensionMessage
from faye_ws.extensions import PermessageDeflate, deflate
from support.extended_drivers import DEFLATE, Tracing, make_request, open_client, open_server
from support.streams import feed, take
from support.wire import WHOLE_BINARY, WHOLE_TEXT, unframe

TAIL = b"\x00\x00\xff\xff"
LINE = "the same line for everyone, and everyone has heard it before: " * 3
NO_TAKEOVER = f"{DEFLATE}; server_no_context_takeover"


@pytest.fixture
def compressions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all messages that are compressed."""
    lengths: list[int] = []
    compress = deflate._deflate

    def counted(deflater: Any, data: bytes) -> bytes:
        lengths.append(len(data))
        return compress(deflater, data)

    monkeypatch.setattr(deflate, "_deflate", counted)
    return lengths


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        ("grüß", (WHOLE_TEXT, "grüß".encode())),
        (b"\xff\0", (WHOLE_BINARY, b"\xff\0")),
        ("", (WHOLE_TEXT, b"")),
    ],
)
def test_a_message_is_text_or_binary(data: str | bytes, frame: tuple[int, bytes]) -> None:
    driver = open_server(None)
    assert driver.send_prepared(PreparedMessage(data)) is True
    assert unframe(driver.data_to_send()) == [frame]


def test_a_lone_surrogate_is_the_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        PreparedMessage("\ud800")


def test_the_frame_is_the_same_object_for_all_that_agree() -> None:
    message = PreparedMessage(LINE)
    drivers = [open_server(None) for _ in range(3)]
    drivers += [open_server(DEFLATE, PermessageDeflate()) for _ in range(3)]
    sent = []
    for driver in drivers:
        driver.send_prepared(message)
        sent.append(driver.data_to_send())
    assert sent[0] is sent[1] is sent[2]
    assert sent[3] is sent[4] is sent[5]


def test_a_message_is_compressed_once_for_all_that_were_negotiated_alike(
    compressions: list[int],
) -> None:
    message = PreparedMessage(LINE)
    # Neither what the peer compresses with, nor who forgets what, makes a difference.
    peers = f"{DEFLATE}; client_no_context_takeover; client_max_window_bits=9"
    for offer in [DEFLATE, NO_TAKEOVER, peers] * 10:
        driver = open_server(offer, PermessageDeflate())
        driver.send_prepared(message)
        assert unframe(driver.data_to_send())[0][0] == 0xC1
    assert compressions == [len(LINE)]


@pytest.mark.parametrize(
    "options",
    [
        {"level": 1},
        {"mem_level": 1},
        {"strategy": zlib.Z_HUFFMAN_ONLY},
        {"max_window_bits": 9},
        {"min_size": 10_000},
    ],
    ids=str,
)
def test_options_that_make_other_bytes_make_another_frame(options: dict[str, int]) -> None:
    message = PreparedMessage(LINE)
    mine, other, plain = (
        open_server(DEFLATE, PermessageDeflate()),
        open_server(DEFLATE, PermessageDeflate(**options)),
        open_server(DEFLATE, PermessageDeflate(**options)),
    )
    for driver in (mine, other):
        driver.send_prepared(message)
    plain.text(LINE)
    mine.data_to_send()
    # As the connection itself would have said it.
    assert other.data_to_send() == plain.data_to_send()


def test_a_message_below_min_size_is_not_compressed(compressions: list[int]) -> None:
    driver = open_server(DEFLATE, PermessageDeflate())
    driver.send_prepared(PreparedMessage("Hello"))
    assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, b"Hello")]
    assert compressions == []


def test_a_client_masks_each_frame_with_a_key_of_its_own() -> None:
    message = PreparedMessage(LINE)
    for answer in (None, DEFLATE):
        drivers = [open_client(answer, PermessageDeflate()) for _ in range(4)]
        for driver in drivers:
            assert driver.send_prepared(message)
        frames = [driver.data_to_send() for driver in drivers]
        assert len(set(frames)) == 4
        assert len({tuple(unframe(frame)) for frame in frames}) == 1
        server = open_server(answer, PermessageDeflate())
        assert feed(server, frames[:1]) == [Message(LINE)]


def test_a_message_is_compressed_once_for_clients_too(compressions: list[int]) -> None:
    message = PreparedMessage(LINE)
    for _ in range(5):
        open_client(DEFLATE, PermessageDeflate()).send_prepared(message)
    assert compressions == [len(LINE)]


@pytest.mark.parametrize("state", ["connecting", "closing", "closed"])
def test_nothing_is_sent_unless_open(state: str, compressions: list[int]) -> None:
    driver = RequestServer(make_request(DEFLATE), extensions=[PermessageDeflate()])
    if state != "connecting":
        driver.start()
        driver.close()
    if state == "closed":
        driver.receive_eof()
    take(driver)
    driver.data_to_send()
    assert driver.send_prepared(PreparedMessage(LINE)) is False
    assert driver.data_to_send() == b""
    assert compressions == []


@pytest.mark.parametrize("offer", [DEFLATE, NO_TAKEOVER])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "share"]),
            st.binary(max_size=100) | st.integers(1, 40).map(lambda times: LINE.encode() * times),
        ),
        max_size=12,
    )
)
def test_what_is_sent_around_shared_messages_can_be_read(
    offer: str, actions: list[tuple[str, bytes]]
) -> None:
    takeover = offer == DEFLATE
    driver = open_server(offer, PermessageDeflate())
    ours = open_client(offer, PermessageDeflate())
    theirs = PerMessageDeflate(not takeover, True, 15, 15)
    inflater = zlib.decompressobj(-15)
    for action, data in actions:
        if action == "send":
            driver.binary(data)
        else:
            driver.send_prepared(PreparedMessage(data))
        frame = driver.data_to_send()
        ((first, payload),) = unframe(frame)
        assert feed(ours, [frame]) == [Message(data)]
        assert theirs.decode(Frame(Opcode.BINARY, payload, rsv1=first == 0xC2)).data == data
        if first == 0xC2:
            if not takeover:
                inflater = zlib.decompressobj(-15)
            assert inflater.decompress(payload + TAIL) == data


def test_the_context_is_dropped_only_by_what_was_compressed() -> None:
    driver = open_server(DEFLATE, PermessageDeflate())
    sizes = []
    for share in (None, PreparedMessage("short"), PreparedMessage(LINE), None):
        if share is not None:
            driver.send_prepared(share)
            driver.data_to_send()
        driver.text(LINE)
        sizes.append(len(driver.data_to_send()))
    first, after_short, after_long, then = sizes
    assert after_short < first / 3
    assert after_long == first
    assert then < first / 3


# Other extensions


class Sharing(Tracing):
    """An extension whose sessions share, all with the same key."""

    def create_server_session(self, offers: list[dict[str, Any]]) -> Any:
        self.note("create_server_session", offers)
        return SharingSession(self)


class SharingSession:
    shared_key = ()

    def __init__(self, extension: Sharing) -> None:
        self._extension = extension

    def generate_response(self) -> dict[str, Any]:
        return {}

    def process_shared_message(self, message: ExtensionMessage) -> ExtensionMessage:
        self._extension.note("process_shared_message")
        message.data += b"<" + self._extension.name.encode() + b">"
        return message

    def note_shared_message(self, message: ExtensionMessage) -> None:
        self._extension.note("note_shared_message", message.data.decode())

    def close(self) -> None:
        pass


def test_an_extension_that_does_not_share_gets_each_message_by_itself() -> None:
    message = PreparedMessage("hello")
    trace: list[str] = []
    for _ in range(2):
        driver = open_server("a", Tracing("a", trace=trace))
        driver.send_prepared(message)
        assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, b"hello<a>")]
    assert trace.count("a process_outgoing_message") == 2


def test_one_extension_that_does_not_share_is_enough() -> None:
    extensions = (Tracing("a"), PermessageDeflate(min_size=0))
    driver = open_server(f"a, {DEFLATE}", *extensions)
    driver.text("before")
    driver.send_prepared(PreparedMessage("hello"))
    client = open_client(f"a, {DEFLATE}", *extensions)
    assert feed(client, [driver.data_to_send()]) == [Message("before"), Message("hello")]


def test_extensions_that_share_are_asked_once_and_each_session_takes_note() -> None:
    message = PreparedMessage("hello")
    trace: list[str] = []
    for _ in range(3):
        driver = open_server("a, b", Sharing("a", trace=trace), Sharing("b", trace=trace))
        driver.send_prepared(message)
        assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, b"hello<a><b>")]
    shared = [entry for entry in trace if "shared_message" in entry]
    assert shared[:2] == ["a process_shared_message", "b process_shared_message"]
    noted = [f"{name} note_shared_message hello<a><b>" for name in "ab"]
    assert shared[2:] == noted * 3


def test_the_frame_of_one_extension_does_not_go_to_another_with_the_same_key() -> None:
    message = PreparedMessage("hello")
    for name in ("a", "b"):
        driver = open_server(name, Sharing(name))
        driver.send_prepared(message)
        assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, f"hello<{name}>".encode())]


def test_an_extension_that_fails_over_a_shared_message_fails_its_connection_only() -> None:
    message = PreparedMessage("hello")
    broken = Sharing("broken", fails=("process_shared_message", RuntimeError("no luck")))
    driver, other = open_server("broken", broken), open_server(None)
    assert driver.send_prepared(message) is False
    assert other.send_prepared(message) is True
    (close,) = take(driver)
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (1010, "broken: no luck")


def test_what_can_not_be_compressed_is_shared_as_well() -> None:
    data = random.Random(1).randbytes(100_000)
    driver = open_server(DEFLATE, PermessageDeflate())
    driver.send_prepared(PreparedMessage(data))
    client = open_client(DEFLATE, PermessageDeflate())
    assert feed(client, [driver.data_to_send()]) == [Message(data)]
