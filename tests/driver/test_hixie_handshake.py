"""The opening handshakes of hixie-75 and hixie-76."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faye_ws.driver import Close, Connect, Headers, Open, Request, Server
from faye_ws.driver.hixie_handshake import find_version, parse_keys, solve_challenge
from faye_ws.driver.server import choose_driver
from faye_ws.errors import HandshakeError, OriginNotAllowed, UnsupportedVersion
from support import drafts
from support.drafts import DRAFTS, HIXIE_75, HIXIE_76, VERSIONS
from support.streams import Cut, feed, take

EXAMPLES = {HIXIE_75: drafts.EXAMPLE_75, HIXIE_76: drafts.EXAMPLE_76}
ANSWERS = {HIXIE_75: drafts.ANSWER_75, HIXIE_76: drafts.ANSWER_76}


def fields(version: str, *without: str, **changes: str) -> list[tuple[str, str]]:
    """Return the header fields of the drafts' examples, with changes."""
    lines = EXAMPLES[version].decode().partition("\r\n\r\n")[0].split("\r\n")[1:]
    found: dict[str, str] = dict(line.split(": ", 1) for line in lines)  # type: ignore[misc]
    found.update({name.replace("_", "-"): value for name, value in changes.items()})
    return [(name, value) for name, value in found.items() if name not in without]


def request(version: str, *without: str, **changes: str) -> Request:
    return Request("GET", "/demo", Headers(fields(version, *without, **changes)))


def refusal(asked: Request, **options: Any) -> Close:
    """Return how a refused request ends."""
    driver = choose_driver(asked, "ws://example.com/demo", versions=VERSIONS, **options)
    assert driver.refusal is not None
    assert driver.start()
    [close] = take(driver)
    assert isinstance(close, Close)
    assert isinstance(close.error, HandshakeError)
    assert driver.data_to_send() == driver.refusal.serialize()
    assert f" {close.error.status} ".encode() in driver.refusal.serialize()
    return close


def key_request(first: str, second: str) -> Request:
    changes = {"Sec_WebSocket_Key1": first, "Sec_WebSocket_Key2": second}
    return request(HIXIE_76, **changes)


@pytest.mark.parametrize("version", DRAFTS)
def test_the_examples_of_the_drafts_are_answered_as_the_drafts_do(version: str, cut: Cut) -> None:
    driver = Server(versions=VERSIONS, protocols=["sample"])
    sent = b""
    story = []
    for piece in cut(EXAMPLES[version] + drafts.text("hello")):
        driver.receive_data(piece)
        while events := driver.events():
            story += events
            if isinstance(events[0], Connect):
                assert driver.start()
        sent += driver.data_to_send()
    assert sent == ANSWERS[version]
    assert story[1] == Open("sample")
    assert driver.version == version
    assert (driver.protocol, driver.extensions) == ("sample", "")


@pytest.mark.parametrize(
    ("first", "second", "last", "answer"),
    [
        # hixie-76, 1.2, 4.1, and 5.2.
        ("4 @1  46546xW%0l 1 5", "12998 5 Y3 1  .P00", b"^n:ds[4U", b"8jKS'y:G*Co,Wxa-"),
        (
            "18x 6]8vM;54 *(5:  {   U1]8  z [  8",
            "1_ tx7X d  <  nw  334J702) 7]o}` 0",
            b"Tm[K T2u",
            b"fQJ,fN/4F4!~K~MH",
        ),
        ("3e6b263  4 17 80", "17  9 G`ZD9   2 2b 7X 3 /r90", b"WjN}|M(6", b"n`9eBk9z$R8pOtVb"),
    ],
)
def test_the_challenges_of_the_draft_have_its_answers(
    first: str, second: str, last: bytes, answer: bytes
) -> None:
    assert solve_challenge(parse_keys(key_request(first, second)), last) == answer


@given(st.integers())
def test_whatever_a_client_makes_is_understood(seed: int) -> None:
    chance = random.Random(seed)
    first, second = drafts.make_key(chance), drafts.make_key(chance)
    numbers = first.number.to_bytes(4, "big") + second.number.to_bytes(4, "big")
    assert parse_keys(key_request(first.value, second.value)) == numbers


@pytest.mark.parametrize(
    "key",
    [
        "123",
        "abc",
        "a b c",
        "1 2 5",
        "",
        "4294967296 0",
        "0000000000 1",
        "4294 967296",
        "9" * 5000 + " 9",
        "² ³",
    ],
    ids=lambda key: repr(key[:12]),
)
def test_a_key_that_no_client_makes_is_refused(key: str) -> None:
    good = "4 @1  46546xW%0l 1 5"
    for pair in ((key, good), (good, key)):
        assert type(refusal(key_request(*pair)).error) is HandshakeError


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")))
@example("0 0")
def test_no_key_raises_anything_else(key: str) -> None:
    with suppress(HandshakeError):
        assert len(parse_keys(key_request(key, key))) == 8


@pytest.mark.parametrize("name", ["Sec-WebSocket-Key1", "Sec-WebSocket-Key2"])
def test_a_missing_key_is_refused(name: str) -> None:
    assert str(refusal(request(HIXIE_76, name)).error) == f"there must be one {name}"


def test_two_keys_of_one_name_are_refused() -> None:
    twice = [*fields(HIXIE_76), ("Sec-WebSocket-Key1", "1 2")]
    assert refusal(Request("GET", "/", Headers(twice))).error is not None


@pytest.mark.parametrize("version", DRAFTS)
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (lambda version: request(version, Host=""), 400),
        (lambda version: request(version, "Host"), 400),
        (lambda version: request(version, Upgrade="h2c"), 400),
        (lambda version: request(version, "Connection"), 400),
        (lambda version: request(version)._replace(method="POST"), 400),
        (lambda version: request(version)._replace(version="HTTP/1.0"), 400),
        (lambda version: request(version, Origin="http://elsewhere.example"), 403),
        (lambda version: request(version, Origin="null"), 403),
    ],
)
def test_what_holds_for_rfc_6455_holds_for_the_drafts(
    version: str, asked: Any, status: int
) -> None:
    error = refusal(asked(version)).error
    assert isinstance(error, HandshakeError)
    assert error.status == status


@pytest.mark.parametrize("version", DRAFTS)
def test_origins_are_those_of_rfc_6455(version: str) -> None:
    elsewhere = request(version, Origin="http://elsewhere.example")
    assert isinstance(refusal(elsewhere, origins=["http://a.example"]).error, OriginNotAllowed)
    for origins in ("*", ["http://elsewhere.example"]):
        driver = choose_driver(elsewhere, "ws://h/", versions=VERSIONS, origins=origins)
        assert driver.refusal is None
        assert driver.start()
        assert b"WebSocket-Origin: http://elsewhere.example\r\n" in driver.data_to_send()


@pytest.mark.parametrize("version", DRAFTS)
def test_a_client_that_is_no_browser_has_no_origin(version: str) -> None:
    driver = choose_driver(request(version, "Origin"), "ws://h/", versions=VERSIONS)
    assert driver.start()
    assert b"Origin" not in driver.data_to_send()


@pytest.mark.parametrize("version", DRAFTS)
def test_a_protocol_that_is_not_supported_is_not_named(version: str) -> None:
    driver = choose_driver(request(version), "ws://h/", versions=VERSIONS, protocols=["other"])
    assert driver.start()
    assert driver.protocol is None
    assert b"Protocol:" not in driver.data_to_send()


@pytest.mark.parametrize("version", DRAFTS)
def test_our_own_header_fields_go_along(version: str) -> None:
    driver = choose_driver(request(version), "ws://h/", versions=VERSIONS, headers={"X": "y"})
    assert driver.start()
    assert b"\r\nX: y\r\n\r\n" in driver.data_to_send()


@pytest.mark.parametrize("version", DRAFTS)
def test_a_location_that_no_header_can_say_is_refused(version: str) -> None:
    driver = choose_driver(request(version), "ws://h/\u0416", versions=VERSIONS)
    assert driver.refusal is not None
    assert driver.refusal.status == 400


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_bare_server_says_whether_it_speaks_tls(is_secure: bool) -> None:
    driver = Server(versions=VERSIONS, is_secure=is_secure)
    secure = b"s" if is_secure else b""
    feed(driver, [drafts.EXAMPLE_75.replace(b"http:", b"http" + secure + b":")])
    assert driver.start()
    answer = driver.data_to_send()
    assert b"\r\nWebSocket-Location: ws" + secure + b"://example.com/demo\r\n" in answer


def test_a_bare_server_behind_a_proxy_that_speaks_tls_says_so() -> None:
    driver = Server(versions=VERSIONS)
    request = drafts.EXAMPLE_75.replace(b"http:", b"https:")
    feed(driver, [request[:-2] + b"X-Forwarded-Proto: https\r\n\r\n"])
    assert driver.start()
    assert b"\r\nWebSocket-Location: wss://example.com/demo\r\n" in driver.data_to_send()


@pytest.mark.parametrize("version", DRAFTS)
@pytest.mark.parametrize(
    ("field", "is_accepted"),
    [
        ("Content-Length: 0", True),
        ("Content-Length: 8", False),
        ("Content-Length: x", False),
        ("Transfer-Encoding: chunked", False),
    ],
)
def test_a_request_with_a_body_is_refused_and_a_last_key_is_no_body(
    version: str, field: str, is_accepted: bool
) -> None:
    name, _, value = field.partition(": ")
    asked = request(version)
    more = Request("GET", asked.target, Headers([*asked.headers, (name, value)]))
    driver = choose_driver(more, "ws://h/", versions=VERSIONS)
    assert (driver.refusal is None) is is_accepted
    assert is_accepted or driver.refusal.status == 400  # type: ignore[union-attr]


@pytest.mark.parametrize("version", DRAFTS)
def test_a_page_of_http_is_none_of_a_server_with_tls(version: str) -> None:
    for url, status in (("ws://example.com/", None), ("wss://example.com/", 403)):
        driver = choose_driver(request(version), url, versions=VERSIONS)
        assert (driver.refusal and driver.refusal.status) == status


@pytest.mark.parametrize(
    ("names", "version"),
    [
        ([], HIXIE_75),
        (["Sec-WebSocket-Key1"], HIXIE_76),
        (["Sec-WebSocket-Key2"], HIXIE_76),
        (["Sec-WebSocket-Key"], "hybi-13"),
        (["Sec-WebSocket-Version"], "hybi-13"),
        (["Sec-WebSocket-Version", "Sec-WebSocket-Key1"], "hybi-13"),
    ],
)
def test_the_version_is_found_by_the_header_fields(names: list[str], version: str) -> None:
    assert find_version(Request("GET", "/", Headers([(name, "x") for name in names]))) == version


@pytest.mark.parametrize("version", DRAFTS)
@pytest.mark.parametrize("versions", [{}, {"versions": ["hybi-13"]}, "others"])
def test_a_draft_that_is_not_spoken_is_refused_and_told_why(version: str, versions: Any) -> None:
    if versions == "others":
        versions = {"versions": [other for other in VERSIONS if other != version]}
    driver = choose_driver(request(version), "ws://h/", **versions)
    assert driver.start()
    [close] = take(driver)
    assert isinstance(close, Close)
    assert isinstance(close.error, UnsupportedVersion)
    assert version in str(close.error)
    sent = driver.data_to_send()
    assert sent.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in sent


@pytest.mark.parametrize("draft", ["7", "8", "0"])
def test_drafts_with_a_version_header_are_refused_whatever_is_spoken(draft: str) -> None:
    asked = Request("GET", "/", Headers([*fields(HIXIE_75), ("Sec-WebSocket-Version", draft)]))
    assert isinstance(refusal(asked).error, UnsupportedVersion)


@pytest.mark.parametrize(
    ("versions", "error"),
    [
        ("hybi-13", TypeError),
        ([], ValueError),
        (["hixie-76"], ValueError),
        (["hybi-13", "hixie-77"], ValueError),
        (["hybi-13", 76], ValueError),
    ],
)
def test_versions_that_are_none_are_known_at_once(versions: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="version"):
        Server(versions=versions)


@pytest.mark.parametrize("version", DRAFTS)
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"protocols": "chat"}, TypeError),
        ({"origins": "http://a.example"}, TypeError),
        ({"max_length": 0}, ValueError),
        ({"headers": {"X": "a\r\nb"}}, ValueError),
        ({"extensions": ["deflate"]}, TypeError),
    ],
)
def test_wrong_options_are_those_of_rfc_6455(
    version: str, options: dict[str, Any], error: type[Exception]
) -> None:
    for asked in (version, "hybi-13"):
        known = request(version) if asked == version else Request("GET", "/", Headers())
        with pytest.raises(error):
            choose_driver(known, "ws://h/", versions=VERSIONS, **options)


@pytest.mark.parametrize("version", DRAFTS)
def test_the_answer_is_sent_once(version: str) -> None:
    driver = choose_driver(request(version), "ws://h/", versions=VERSIONS)
    assert driver.start()
    assert driver.data_to_send()
    assert not driver.start()
    assert driver.data_to_send() == b""
