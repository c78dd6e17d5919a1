"""permessage-deflate (RFC 7692): its options, and what is negotiated from them."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import pytest
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

from faye_ws.driver import Client, Close, RequestServer
from faye_ws.extensions import PermessageDeflate
from faye_ws.extensions.header import parse_header
from support import wire
from support.extended_drivers import DEFLATE, make_request, open_client, open_server
from support.roles import key_of
from support.streams import take
from support.wire import unframe

SERVER_NCT, CLIENT_NCT = "server_no_context_takeover", "client_no_context_takeover"
SERVER_BITS, CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"


def answer_to(offer: str, **options: Any) -> dict[str, Any] | None:
    """Return the parameters of a server's answer to an offer, or None if it declines."""
    driver = RequestServer(make_request(offer), extensions=[PermessageDeflate(**options)])
    assert driver.refusal is None
    if not driver.extensions:
        return None
    ((name, params),) = parse_header(driver.extensions)
    assert name == DEFLATE
    return params


def offer_with(**options: Any) -> dict[str, Any]:
    """Return the parameters of a client's offer."""
    driver = Client("ws://localhost/", extensions=[PermessageDeflate(**options)])
    header = driver.request.headers.get("Sec-WebSocket-Extensions")
    assert header is not None
    ((name, params),) = parse_header(header)
    assert name == DEFLATE
    return params


def takes(answer: str, **options: Any) -> bool:
    """Tell whether a client takes an answer; if not, the handshake has to fail."""
    driver = Client("ws://localhost/", extensions=[PermessageDeflate(**options)])
    driver.start()
    field = f"Sec-WebSocket-Extensions: {answer}".encode()
    driver.receive_data(wire.response(key_of(driver), field))
    (event,) = take(driver)
    if isinstance(event, Close):
        assert event.reason == f"the server uses the extension {DEFLATE} in a wrong way"
        return False
    return True


# Options


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("level", [-1, 0, 9], [-2, 10]),
        ("mem_level", [1, 9], [0, 10, -1]),
        ("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED], [-1, 5]),
        ("max_window_bits", [9, 15, None], [0, 7, 8, 16]),
        ("request_max_window_bits", [8, 9, 15, None], [0, 7, 16]),
        ("min_size", [0, 1, 2**40], [-1]),
    ],
)
def test_a_number_out_of_its_range_is_found_out_at_once(
    option: str, good: list[int], bad: list[int]
) -> None:
    def build(value: Any) -> PermessageDeflate:
        return PermessageDeflate(**{option: value})

    for value in good:
        assert getattr(build(value), option) == value
    for value in bad:
        with pytest.raises(ValueError, match=option):
            build(value)
    for other in ("9", 9.0, True):
        with pytest.raises(TypeError, match=option):
            build(other)


def test_an_unknown_option_is_found_out_at_once() -> None:
    with pytest.raises(TypeError):
        PermessageDeflate(memlevel=9)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        PermessageDeflate(9)  # type: ignore[call-arg]


def test_one_extension_serves_many_connections() -> None:
    deflate = PermessageDeflate()
    drivers = [open_server(DEFLATE, deflate) for _ in range(3)]
    message = "the same for all of them, and long enough to be compressed: yes, it is"
    for driver in drivers:
        driver.text(message)
    # Each has a context of its own: the first message of each looks like a first message.
    first, *others = [driver.data_to_send() for driver in drivers]
    assert others == [first, first]
    drivers[0].text(message)
    assert len(drivers[0].data_to_send()) < len(first) / 2


# The server's answer


@pytest.mark.parametrize(
    ("options", "offer", "answer"),
    [
        # What the client asks for is done (7.1.1.1, 7.1.2.1) ...
        ({}, "", {}),
        ({}, SERVER_NCT, {SERVER_NCT: True}),
        ({}, f"{SERVER_BITS}=15", {SERVER_BITS: 15}),
        ({}, f"{SERVER_BITS}=9", {SERVER_BITS: 9}),
        ({}, f'{SERVER_BITS}="10"', {SERVER_BITS: 10}),
        # ... what it announces is taken note of (7.1.1.2, 7.1.2.2).
        ({}, CLIENT_NCT, {CLIENT_NCT: True}),
        ({}, CLIENT_BITS, {}),
        ({}, f"{CLIENT_BITS}=15", {}),
        ({}, f"{CLIENT_BITS}=8", {CLIENT_BITS: 8}),
        ({}, f"{CLIENT_BITS}=12", {CLIENT_BITS: 12}),
        (
            {},
            f"{CLIENT_NCT}; {SERVER_NCT}; {SERVER_BITS}=11; {CLIENT_BITS}=10",
            {CLIENT_NCT: True, SERVER_NCT: True, SERVER_BITS: 11, CLIENT_BITS: 10},
        ),
        # Our own side is narrowed by our options.
        ({"no_context_takeover": True}, "", {SERVER_NCT: True}),
        ({"max_window_bits": 10}, f"{SERVER_BITS}=12", {SERVER_BITS: 10}),
        ({"max_window_bits": 12}, f"{SERVER_BITS}=10", {SERVER_BITS: 10}),
        ({"max_window_bits": 15}, "", {}),
        # The peer's side is asked to be narrow, where the client has said that it can be.
        ({"request_no_context_takeover": True}, "", {CLIENT_NCT: True}),
        ({"request_max_window_bits": 9}, CLIENT_BITS, {CLIENT_BITS: 9}),
        ({"request_max_window_bits": 9}, f"{CLIENT_BITS}=12", {CLIENT_BITS: 9}),
        ({"request_max_window_bits": 12}, f"{CLIENT_BITS}=9", {CLIENT_BITS: 9}),
        ({"request_max_window_bits": 8}, CLIENT_BITS, {CLIENT_BITS: 8}),
        ({"request_max_window_bits": 9}, "", {}),
    ],
)
def test_a_server_answers_what_both_ends_want(
    options: dict[str, Any], offer: str, answer: dict[str, Any]
) -> None:
    assert answer_to(f"{DEFLATE}; {offer}" if offer else DEFLATE, **options) == answer


BAD_OFFERS = [
    "unknown",
    "unknown=1",
    f"{SERVER_NCT}=1",
    f"{SERVER_NCT}=true",
    f'{SERVER_NCT}=""',
    f"{CLIENT_NCT}=0",
    f"{SERVER_NCT}; {SERVER_NCT}",
    f"{CLIENT_NCT}; {CLIENT_NCT}",
    SERVER_BITS,
    f'{SERVER_BITS}=""',
    f"{SERVER_BITS}=7",
    f"{SERVER_BITS}=16",
    f"{SERVER_BITS}=010",
    f"{SERVER_BITS}=+9",
    f"{SERVER_BITS}=-9",
    f"{SERVER_BITS}=10.0",
    f"{SERVER_BITS}=x",
    f"{SERVER_BITS}=10; {SERVER_BITS}=10",
    f"{CLIENT_BITS}=7",
    f"{CLIENT_BITS}=16",
    f"{CLIENT_BITS}=08",
    f"{CLIENT_BITS}; {CLIENT_BITS}",
    f"{CLIENT_BITS}=12; {CLIENT_BITS}=12",
    f"{CLIENT_BITS}=1000000000000000000000",
    "Server_no_context_takeover",
    "client_no_context_takeoverXYZ",
]


@pytest.mark.parametrize("offer", BAD_OFFERS)
def test_a_server_declines_an_offer_with_a_parameter_that_is_not_valid(offer: str) -> None:
    assert answer_to(f"{DEFLATE}; {offer}") is None


def test_a_server_declines_a_window_that_zlib_can_not_compress_with() -> None:
    # A raw stream with a window of 8 bits: zlib would take 9 without a word.
    assert answer_to(f"{DEFLATE}; {SERVER_BITS}=8") is None


@pytest.mark.parametrize("bad", [*BAD_OFFERS, f"{SERVER_BITS}=8"])
def test_a_server_takes_the_first_offer_that_it_can(bad: str) -> None:
    offers = f"{DEFLATE}; {bad}, {DEFLATE}; {SERVER_BITS}=10, {DEFLATE}; {SERVER_NCT}"
    assert answer_to(offers) == {SERVER_BITS: 10}


def test_a_server_does_not_use_the_drafts_of_the_extension() -> None:
    assert answer_to("x-webkit-deflate-frame, deflate-frame, Permessage-Deflate") is None


# The client's offer, and the answer to it


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        ({}, {CLIENT_BITS: True}),
        ({"no_context_takeover": True}, {CLIENT_NCT: True, CLIENT_BITS: True}),
        ({"max_window_bits": 10}, {CLIENT_BITS: 10}),
        ({"request_no_context_takeover": True}, {CLIENT_BITS: True, SERVER_NCT: True}),
        ({"request_max_window_bits": 9}, {CLIENT_BITS: True, SERVER_BITS: 9}),
        (
            {
                "no_context_takeover": True,
                "max_window_bits": 9,
                "request_no_context_takeover": True,
                "request_max_window_bits": 12,
            },
            {CLIENT_NCT: True, CLIENT_BITS: 9, SERVER_NCT: True, SERVER_BITS: 12},
        ),
    ],
)
def test_a_client_offers_what_its_options_say(
    options: dict[str, Any], offer: dict[str, Any]
) -> None:
    assert offer_with(**options) == offer


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({}, ""),
        ({}, f"; {SERVER_NCT}; {CLIENT_NCT}; {SERVER_BITS}=8; {CLIENT_BITS}=8"),
        ({}, f"; {CLIENT_BITS}=15; {SERVER_BITS}=15"),
        ({"max_window_bits": 9}, ""),
        ({"max_window_bits": 9}, f"; {CLIENT_BITS}=9"),
        ({"no_context_takeover": True}, ""),
        ({"request_no_context_takeover": True}, f"; {SERVER_NCT}"),
        ({"request_max_window_bits": 10}, f"; {SERVER_BITS}=10"),
        ({"request_max_window_bits": 10}, f"; {SERVER_BITS}=9"),
        ({"request_max_window_bits": 15}, ""),
    ],
)
def test_a_client_takes_an_answer_that_grants_its_offer(
    options: dict[str, Any], answer: str
) -> None:
    assert takes(DEFLATE + answer, **options)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        *(({}, f"; {params}") for params in BAD_OFFERS),
        # Only an offer may leave the value away (7.1.2.2).
        ({}, f"; {CLIENT_BITS}"),
        ({"request_no_context_takeover": True}, ""),
        ({"request_no_context_takeover": True}, f"; {CLIENT_NCT}"),
        ({"request_max_window_bits": 10}, ""),
        ({"request_max_window_bits": 10}, f"; {SERVER_BITS}=11"),
    ],
)
def test_a_client_fails_on_an_answer_that_does_not(options: dict[str, Any], answer: str) -> None:
    assert not takes(DEFLATE + answer, **options)


# Both ends together, and with others

POLICIES: list[dict[str, Any]] = [
    dict(
        zip(
            (
                "no_context_takeover",
                "request_no_context_takeover",
                "max_window_bits",
                "request_max_window_bits",
            ),
            values,
            strict=True,
        )
    )
    for values in itertools.product((False, True), (False, True), (None, 9, 12), (None, 9, 15))
]


def test_every_policy_of_a_client_agrees_with_every_policy_of_a_server() -> None:
    message = "what can be said can be said again, and again, and again: " * 20
    for ours, theirs in itertools.product(POLICIES, POLICIES):
        client = Client("ws://server.example.com/", extensions=[PermessageDeflate(**ours)])
        assert client.request is not None
        server = RequestServer(client.request, extensions=[PermessageDeflate(**theirs)])
        client.start()
        client.data_to_send()
        server.start()
        client.receive_data(server.data_to_send())
        take(client)
        take(server)
        assert client.extensions == server.extensions
        assert client.extensions.startswith(DEFLATE)
        for sender, receiver in ((client, server), (server, client)):
            for _ in range(2):
                sender.text(message)
                data = sender.data_to_send()
                assert unframe(data)[0][0] == 0xC1
                receiver.receive_data(data)
                assert [event.data for event in take(receiver)] == [message]


def websockets_params(params: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return parameters in the form of the library `websockets`."""
    return [(name, None if value is True else str(value)) for name, value in params.items()]


@pytest.mark.parametrize("options", POLICIES, ids=str)
def test_websockets_takes_our_offers_and_we_its_answers(options: dict[str, Any]) -> None:
    offer = offer_with(**options)
    for policy in itertools.product((False, True), (False, True), (None, 9, 15), (None, 9, 15)):
        factory = ServerPerMessageDeflateFactory(*policy)
        try:
            answer, theirs = factory.process_request_params(websockets_params(offer), [])
        except NegotiationError:
            continue
        header = "; ".join([DEFLATE, *(n if v is None else f"{n}={v}" for n, v in answer)])
        driver = open_client(header, PermessageDeflate(**options))
        ours = driver._pipeline._sessions[0][1]  # type: ignore[union-attr]
        assert_agree(ours, theirs)


@pytest.mark.parametrize("options", POLICIES, ids=str)
def test_websockets_takes_our_answers_to_its_offers(options: dict[str, Any]) -> None:
    for policy in itertools.product(
        (False, True), (False, True), (None, 9, 12, 15), (None, True, 9, 15)
    ):
        factory = ClientPerMessageDeflateFactory(*policy)
        offer = [
            (name, True if value is None else int(value))
            for name, value in factory.get_request_params()
        ]
        session = PermessageDeflate(**options).create_server_session([dict(offer)])
        assert session is not None
        answer = dict(session.generate_response())
        theirs = factory.process_response_params(websockets_params(answer), [])
        assert_agree(session, theirs)


def assert_agree(ours: Any, theirs: Any) -> None:
    """Check that what one end inflates with is what the other deflates with."""
    # Whoever forgets its window may inflate with one that is kept, and a window may be
    # larger than what it is used for; not the other way round.
    assert ours._own_takeover <= (not theirs.remote_no_context_takeover)
    assert (not theirs.local_no_context_takeover) <= ours._peer_takeover
    assert ours._own_bits <= theirs.remote_max_window_bits
    assert theirs.local_max_window_bits <= ours._peer_bits
