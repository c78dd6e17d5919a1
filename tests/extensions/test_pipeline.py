"""Extensions of one connection: negotiated, lined up, failing, and closed."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from faye_ws import WebSocketError
from faye_ws.driver import Client, Close, Driver, Message, Open, RequestServer, Server
from faye_ws.errors import ExtensionError, HandshakeError, InvalidPayloadData
from faye_ws.extensions import Message as ExtensionMessage
from faye_ws.extensions.pipeline import Pipeline, check_extensions, respond
from support import wire
from support.extended_drivers import (
    RSV1,
    RSV2,
    RSV3,
    Role,
    Tracing,
    make_request,
    open_client,
    open_server,
)
from support.roles import key_of
from support.streams import Cut, feed, take
from support.wire import WHOLE_TEXT, unframe


def answer_of(offer: str | None, *extensions: Tracing) -> str | None:
    """Return the header in a server's response to an offer."""
    driver = RequestServer(make_request(offer), extensions=extensions)
    driver.start()
    field = wire.fields_of(driver.data_to_send()).get(b"sec-websocket-extensions")
    return None if field is None else field.decode()


def offer_of(*extensions: Tracing) -> str | None:
    """Return the header in a client's request."""
    driver = Client("ws://localhost/", extensions=extensions)
    return driver.request.headers.get("Sec-WebSocket-Extensions")


def refusal_of(answer: str, *extensions: Tracing) -> str:
    """Return why a client does not take a server's answer."""
    driver = Client("ws://localhost/", extensions=extensions)
    driver.start()
    field = f"Sec-WebSocket-Extensions: {answer}".encode()
    driver.receive_data(wire.response(key_of(driver), field))
    (event,) = take(driver)
    assert isinstance(event, Close)
    assert (event.code, event.was_clean) == (1006, False)
    assert isinstance(event.error, HandshakeError)
    return event.reason


# The server's part


def test_a_server_answers_with_the_extensions_that_both_know() -> None:
    assert answer_of("b, x, a", Tracing("a"), Tracing("b"), Tracing("c")) == "a, b"


@pytest.mark.parametrize("offer", [None, "", ",", "x", "A", "x; a"])
def test_a_server_does_not_answer_what_it_does_not_know(offer: str | None) -> None:
    trace: list[str] = []
    assert answer_of(offer, Tracing("a", trace=trace)) is None
    assert trace == []


def test_an_extension_gets_all_offers_with_its_name() -> None:
    trace: list[str] = []
    answer_of("a; b=1, x, a, a; b; b=c", Tracing("a", trace=trace))
    assert trace == [
        "a create_server_session [{'b': 1}, {}, {'b': [True, 'c']}]",
        "a generate_response",
    ]


def test_an_extension_may_decline_all_offers() -> None:
    assert answer_of("a, b", Tracing("a", declines=True), Tracing("b")) == "b"


def test_the_answer_has_the_parameters_that_the_session_generates() -> None:
    extension = Tracing("a", answer={"b": True, "c": [1, "two words"]})
    assert answer_of("a", extension) == 'a; b; c=1; c="two words"'


def test_a_reserved_bit_goes_to_the_first_extension_that_claims_it() -> None:
    extensions = (Tracing("a", RSV1), Tracing("b", RSV1 | RSV2), Tracing("c", RSV2))
    assert answer_of("c, b, a", *extensions) == "a, c"


def test_an_extension_that_declines_leaves_its_bit_to_the_next() -> None:
    assert answer_of("a, b", Tracing("a", RSV1, declines=True), Tracing("b", RSV1)) == "b"


@pytest.mark.parametrize("offer", ["a; ;", "a b", 'a; b="', ", ".join(["a"] * 33)])
def test_a_server_refuses_an_offer_that_breaks_the_grammar(offer: str) -> None:
    driver = RequestServer(make_request(offer), extensions=[Tracing("a")])
    assert driver.refusal is not None
    assert driver.refusal.status == 400
    assert "xtension" in driver.refusal.body.decode()


def test_a_server_without_extensions_does_not_look_at_offers() -> None:
    assert answer_of("a; ;") is None


def test_offers_in_several_header_fields_are_one_list() -> None:
    request = make_request("a; b=1")
    request.headers.append("Sec-WebSocket-Extensions", "x, a")
    trace: list[str] = []
    RequestServer(request, extensions=[Tracing("a", trace=trace)])
    assert trace[0] == "a create_server_session [{'b': 1}, {}]"


@pytest.mark.parametrize("method", ["create_server_session", "generate_response"])
def test_an_extension_that_raises_over_an_offer_refuses_the_handshake(method: str) -> None:
    driver = Server(extensions=[Tracing("broken", fails=(method, RuntimeError("no luck")))])
    driver.receive_data(wire.request(b"Sec-WebSocket-Extensions: broken"))
    driver.start()
    assert driver.data_to_send().startswith(b"HTTP/1.1 400 ")
    *_, close = take(driver)
    assert isinstance(close, Close)
    assert close.reason == "broken: no luck"


# The client's part


def test_a_client_offers_its_extensions_in_order() -> None:
    assert offer_of(Tracing("b"), Tracing("a", offer={"c": 1}), Tracing("x", declines=True)) == (
        "b, a; c=1"
    )


def test_a_client_may_offer_alternatives() -> None:
    assert offer_of(Tracing("a", offer=[{"b": 2}, {"b": 1}, {}])) == "a; b=2, a; b=1, a"


def test_a_client_with_nothing_to_offer_sends_no_header() -> None:
    assert offer_of() is None
    assert offer_of(Tracing("a", declines=True)) is None


def test_a_client_may_offer_what_claims_the_same_bit() -> None:
    extensions = (Tracing("a", RSV1), Tracing("b", RSV1))
    assert offer_of(*extensions) == "a, b"
    assert open_client("b", *extensions).extensions == "b"


def test_a_client_takes_none_of_its_offers_being_used() -> None:
    assert open_client(None, Tracing("a")).extensions == ""
    assert open_client("", Tracing("a")).extensions == ""


def test_the_parameters_of_the_answer_activate_the_session() -> None:
    trace: list[str] = []
    driver = open_client("a; b=1; c", Tracing("a", trace=trace))
    assert driver.extensions == "a; b=1; c"
    assert trace[-1] == "a activate {'b': 1, 'c': True}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("x", "the server uses the extension x, which was not offered"),
        ("a, x", "the server uses the extension x, which was not offered"),
        ("A", "the server uses the extension A, which was not offered"),
        ("c", "the server uses the extension c, which was not offered"),
        ("a, a", "the server uses the extension a twice"),
        ("a, b", "the server uses the extension b beside one of its bits"),
        ("a; wrong", "the server uses the extension a in a wrong way"),
        ("a; ;", "the Sec-WebSocket-Extensions header is wrong at byte 4"),
    ],
)
def test_an_answer_that_is_not_acceptable_fails_the_handshake(answer: str, reason: str) -> None:
    extensions = (Tracing("a", RSV1), Tracing("b", RSV1), Tracing("c", declines=True))
    assert refusal_of(answer, *extensions) == reason


def test_an_answer_fails_the_handshake_of_a_client_that_has_offered_nothing() -> None:
    assert refusal_of("permessage-deflate") == (
        "the server uses the extension permessage-deflate, which was not offered"
    )


def test_an_extension_that_raises_over_an_answer_fails_the_handshake() -> None:
    extension = Tracing("broken", fails=("activate", RuntimeError("no luck")))
    assert refusal_of("broken", extension) == "broken: no luck"


def test_nothing_is_sent_through_an_answer_that_was_refused() -> None:
    driver = Client("ws://localhost/", extensions=[Tracing("a")])
    driver.start()
    driver.data_to_send()
    driver.receive_data(wire.response(key_of(driver), b"Sec-WebSocket-Extensions: x"))
    assert driver.text("hello") is False
    assert driver.data_to_send() == b""


# What an application passes


@pytest.mark.parametrize("missing", ["name", "type", "rsv1", "rsv2", "rsv3"])
def test_what_has_not_the_attributes_of_an_extension_is_none(missing: str) -> None:
    attributes = {"name": "a", "type": "permessage", "rsv1": False, "rsv2": False, "rsv3": False}
    del attributes[missing]
    with pytest.raises(TypeError, match=f"an extension without {missing}"):
        check_extensions([SimpleNamespace(**attributes)])  # type: ignore[list-item]


def test_an_extension_class_in_place_of_an_extension_is_found_out() -> None:
    with pytest.raises(TypeError, match="an extension without name"):
        check_extensions([Tracing])  # type: ignore[list-item]


def test_extensions_are_of_the_type_permessage() -> None:
    extension = Tracing("a")
    extension.type = "perframe"
    with pytest.raises(ValueError, match="of the type 'perframe': a"):
        RequestServer(make_request(None), extensions=[extension])
    with pytest.raises(ValueError, match="of the type 'perframe': a"):
        Client("ws://localhost/", extensions=[extension])


def test_the_same_name_can_not_stand_twice() -> None:
    for make in (lambda **options: RequestServer(make_request(None), **options), Server):
        with pytest.raises(ValueError, match="the same extension twice"):
            make(extensions=[Tracing("a"), Tracing("a")])


# Messages on their way


def open_both(*names: str, trace: list[str]) -> dict[str, Driver]:
    """Return a server and a client that use the same extensions."""
    header = ", ".join(names)
    return {
        "server": open_server(header, *[Tracing(name, trace=trace) for name in names]),
        "client": open_client(header, *[Tracing(name, trace=trace) for name in names]),
    }


def test_messages_pass_through_the_extensions_in_order_and_back(role: Role, cut: Cut) -> None:
    trace: list[str] = []
    driver = role.open("a, b, c", *[Tracing(name, trace=trace) for name in "abc"])
    trace.clear()
    driver.text("hello")
    assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, b"hello<a><b><c>")]
    assert trace == [f"{name} process_outgoing_message" for name in "abc"]
    trace.clear()
    events = feed(driver, cut(role.frame(WHOLE_TEXT, b"hello<a><b><c>")))
    assert events == [Message("hello")]
    assert trace == [f"{name} process_incoming_message" for name in "cba"]


def test_a_client_lines_extensions_up_as_the_server_answers() -> None:
    driver = open_client("c, a", Tracing("a"), Tracing("b"), Tracing("c"))
    driver.text("hello")
    assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, b"hello<c><a>")]


def test_what_one_end_sends_the_other_understands() -> None:
    both = open_both("a", "b", trace=[])
    for sender, receiver in (("server", "client"), ("client", "server")):
        both[sender].text("grüß dich")
        both[sender].binary(b"\xff")
        assert feed(both[receiver], [both[sender].data_to_send()]) == [
            Message("grüß dich"),
            Message(b"\xff"),
        ]


def test_a_fragmented_message_passes_as_one(role: Role, cut: Cut) -> None:
    trace: list[str] = []
    driver = role.open("a", Tracing("a", RSV2, trace))
    trace.clear()
    stream = role.frames((0x01 | RSV2, b"he"), (0x89, b"?"), (0x00, b"llo"), (0x80, b"<a>"))
    assert [event.data for event in feed(driver, cut(stream))] == [b"?", "hello"]
    assert trace == ["a process_incoming_message"]


def test_control_frames_pass_by(role: Role, cut: Cut) -> None:
    trace: list[str] = []
    driver = role.open("a", Tracing("a", trace=trace))
    trace.clear()
    driver.ping(b"are you there?")
    driver.close(1000, "bye")
    feed(driver, cut(role.frames((0x8A, b"yes"), (0x88, wire.close_payload(1000)))))
    assert [first for first, _ in unframe(driver.data_to_send())] == [0x89, 0x88]
    assert trace == ["a close"]


@pytest.mark.parametrize(
    ("claimed", "sent", "accepted"),
    [
        (0, RSV1, False),
        (0, RSV2, False),
        (0, RSV3, False),
        (RSV1, RSV1, True),
        (RSV1, RSV2, False),
        (RSV1, RSV1 | RSV3, False),
        (RSV2 | RSV3, RSV2, True),
        (RSV1 | RSV2 | RSV3, RSV1 | RSV2 | RSV3, True),
    ],
)
def test_a_reserved_bit_means_something_only_when_an_extension_claims_it(
    role: Role, cut: Cut, claimed: int, sent: int, accepted: bool
) -> None:
    driver = role.open("a", Tracing("a", claimed))
    events = feed(driver, cut(role.frame(WHOLE_TEXT | sent, b"hello<a>")))
    if accepted:
        assert events == [Message("hello")]
    else:
        assert [event.code for event in events] == [1002]


def test_bits_of_several_extensions_are_told_apart(role: Role) -> None:
    driver = role.open("a, b", Tracing("a", RSV1), Tracing("b", RSV3))
    driver.binary(b"")
    assert unframe(driver.data_to_send()) == [(0x82 | RSV1 | RSV3, b"<a><b>")]
    assert [event.code for event in feed(driver, [role.frame(0x82 | RSV2)])] == [1002]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("no luck"), 1010),
        (ValueError("no luck"), 1010),
        (WebSocketError("no luck"), 1010),
        (InvalidPayloadData("no luck"), 1007),
    ],
)
def test_an_error_over_an_incoming_message_fails_the_connection(
    role: Role, cut: Cut, error: Exception, code: int
) -> None:
    broken = Tracing("broken", fails=("process_incoming_message", error))
    trace: list[str] = []
    driver = role.open("a, broken", Tracing("a", trace=trace), broken)
    trace.clear()
    stream = role.frames((WHOLE_TEXT, b"hello<a><broken>"), (WHOLE_TEXT, b"more<a><broken>"))
    (close,) = feed(driver, cut(stream))
    assert isinstance(close, Close)
    assert (close.code, close.reason, close.was_clean) == (code, "broken: no luck", False)
    assert close.error is not None
    assert close.error.__cause__ is error
    # Nothing of it has reached the next extension, nor the application.
    assert trace == ["a close"]
    assert unframe(driver.data_to_send()) == [
        (wire.CLOSE, wire.close_payload(code, b"broken: no luck"))
    ]


def test_an_error_over_an_outgoing_message_does_not_take_the_place_of_the_peers_close(
    role: Role,
) -> None:
    broken = Tracing("broken", fails=("process_outgoing_message", RuntimeError("no luck")))
    driver = role.open("broken", broken)
    driver.receive_data(role.frame(wire.CLOSE, wire.close_payload(1000)))
    assert driver.events() == [Close(1000, "", was_clean=True)]
    assert driver.text("an answer") is False
    assert driver.events() == []
    assert driver.answer_close()
    assert unframe(driver.data_to_send()) == [(wire.CLOSE, wire.close_payload(1000))]


def test_an_error_over_an_outgoing_message_fails_the_connection(role: Role) -> None:
    broken = Tracing("broken", fails=("process_outgoing_message", RuntimeError("no luck")))
    driver = role.open("a, broken", Tracing("a"), broken)
    assert driver.text("hello") is False
    assert driver.data_to_send() == b""
    (close,) = take(driver)
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (1010, "broken: no luck")
    # Not a byte of the message, and no other after it.
    assert driver.text("hello") is False
    assert unframe(driver.data_to_send()) == [
        (wire.CLOSE, wire.close_payload(1010, b"broken: no luck"))
    ]


def test_a_message_that_an_extension_makes_too_long_is_refused(role: Role) -> None:
    class Doubling:
        name, type = "double", "permessage"
        rsv1 = rsv2 = rsv3 = False

        def create_client_session(self) -> Any:
            return self

        def create_server_session(self, offers: object) -> Any:
            return self

        def generate_offer(self) -> dict[str, Any]:
            return {}

        generate_response = generate_offer

        def activate(self, params: object) -> bool:
            return True

        def process_incoming_message(self, message: Any) -> Any:
            message.data *= 2
            return message

        def close(self) -> None:
            pass

    driver = role.open("double", Doubling(), max_length=8)
    assert feed(driver, [role.frame(0x82, b"four")]) == [Message(b"fourfour")]
    assert [event.code for event in feed(driver, [role.frame(0x82, b"fives")])] == [1009]


# One message for several connections


class Sharing(Tracing):
    """An extension whose sessions share what they send with those of the same key."""

    def __init__(self, name: str, key: str = "key", **options: Any) -> None:
        super().__init__(name, **options)
        self.key = key

    def create_server_session(self, offers: list[dict[str, Any]]) -> Any:
        return SharingSession(self)


class SharingSession:
    """A session of `Sharing`."""

    def __init__(self, extension: Sharing) -> None:
        self._extension = extension
        self.shared_key = extension.key

    def generate_response(self) -> dict[str, Any]:
        return {}

    def process_shared_message(self, message: ExtensionMessage) -> ExtensionMessage:
        self._extension.note("process_shared_message")
        return ExtensionMessage(message.opcode, message.data + f"<{self._extension.name}>".encode())

    def note_shared_message(self, message: ExtensionMessage) -> None:
        self._extension.note("note_shared_message", message.data.decode())


def pipeline_of(*extensions: Tracing) -> Pipeline:
    """Return the pipeline of a server that uses these extensions."""
    pipeline = respond(extensions, ", ".join(extension.name for extension in extensions))
    assert pipeline is not None
    return pipeline


def test_a_shared_message_passes_through_the_extensions_in_order() -> None:
    trace: list[str] = []
    pipeline = pipeline_of(Sharing("a", trace=trace), Sharing("b", trace=trace))
    message = pipeline.process_shared(ExtensionMessage(1, b"hello"))
    assert message.data == b"hello<a><b>"
    pipeline.note_shared(message)
    assert trace == [
        "a process_shared_message",
        "b process_shared_message",
        "a note_shared_message hello<a><b>",
        "b note_shared_message hello<a><b>",
    ]


def test_pipelines_share_if_all_their_extensions_and_keys_are_the_same() -> None:
    key = pipeline_of(Sharing("a"), Sharing("b")).shared_key()
    assert key is not None
    assert pipeline_of(Sharing("a"), Sharing("b")).shared_key() == key
    for others in (
        [Sharing("b"), Sharing("a")],
        [Sharing("a")],
        [Sharing("a"), Sharing("b", "other")],
        [Sharing("a"), Sharing("c")],
    ):
        assert pipeline_of(*others).shared_key() != key
    assert pipeline_of(Sharing("a"), Tracing("b")).shared_key() is None


def test_an_error_over_a_shared_message_has_the_name_of_the_extension() -> None:
    error = RuntimeError("no luck")
    pipeline = pipeline_of(Sharing("a"), Sharing("b", fails=("process_shared_message", error)))
    with pytest.raises(ExtensionError, match="b: no luck") as caught:
        pipeline.process_shared(ExtensionMessage(1, b"hello"))
    assert caught.value.__cause__ is error


# The end


@pytest.mark.parametrize("how", ["their close", "our close", "a violation", "no bytes"])
def test_every_session_is_closed_once_whatever_the_end(role: Role, how: str) -> None:
    trace: list[str] = []
    driver = role.open("a, b", Tracing("a", trace=trace), Tracing("b", trace=trace))
    trace.clear()
    if how == "our close":
        driver.close()
    if how == "a violation":
        driver.receive_data(role.frame(0x83))
    elif how == "no bytes":
        driver.receive_eof()
    else:
        driver.receive_data(role.frame(0x88))
    take(driver)
    driver.receive_eof()
    take(driver)
    assert trace == ["a close", "b close"]


def test_an_error_at_the_close_of_a_session_is_logged_and_keeps_nothing(
    role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    trace: list[str] = []
    broken = Tracing("broken", trace=trace, fails=("close", RuntimeError("no luck")))
    driver = role.open("broken, b", broken, Tracing("b", trace=trace))
    trace.clear()
    with caplog.at_level(logging.ERROR, "faye_ws"):
        events = feed(driver, [role.frame(0x88, wire.close_payload(1000))])
    assert events == [Close(1000, "", was_clean=True)]
    assert trace == ["broken close", "b close"]
    assert unframe(driver.data_to_send()) == [(0x88, wire.close_payload(1000))]
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert record.exc_info is not None


def test_a_connection_without_extensions_has_no_pipeline() -> None:
    assert respond((), "a") is None
    assert respond((Tracing("a"),), None) is None
    driver = open_client(None, Tracing("a"))
    driver.text("hello")
    assert unframe(driver.data_to_send()) == [(WHOLE_TEXT, b"hello")]


def test_a_handshake_with_extensions_is_told_as_any_other(cut: Cut) -> None:
    driver = Client("ws://localhost/", extensions=[Tracing("a")])
    driver.start()
    stream = wire.response(key_of(driver), b"Sec-WebSocket-Extensions: a")
    # A frame right behind the response already passes through the extension.
    events = feed(driver, cut(stream + wire.frame(WHOLE_TEXT, b"hello<a>")))
    assert events == [Open(None), Message("hello")]
