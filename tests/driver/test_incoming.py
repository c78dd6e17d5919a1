"""What has come of a stream and is not a message yet."""

from __future__ import annotations

from itertools import combinations

import pytest

from faye_ws.driver.incoming import Arriving, Unfinished, Unread

TEXT, WHOLE_TEXT, BINARY, CONTINUATION = 0x01, 0x81, 0x02, 0x00

# UTF-8 up to its longest characters, and what is none, with the first byte that says so.
GOOD = "$\u00e9\u20ac\ud7ff\ue000\U0001f600\U0010ffff"
BAD = {
    "a byte that begins nothing": (b"a\x80", 1),
    "a byte that no UTF-8 has": (b"a\xff", 1),
    "an overlong form": (b"a\xc0\xaf", 1),
    "an overlong form of three bytes": (b"a\xe0\x80\xaf", 2),
    "the first surrogate": (b"a\xed\xa0\x80", 2),
    "the last surrogate": (b"a\xed\xbf\xbf", 2),
    "a number too large": (b"a\xf4\x90\x80\x80", 2),
    "a character that breaks off": (b"a\xe2\x82b", 3),
}


def test_a_text_is_taken_in_wherever_it_is_cut() -> None:
    data = GOOD.encode()
    for first, second in combinations(range(len(data) + 1), 2):
        message = Unfinished(TEXT, True)
        for piece in (data[:first], data[first:second], data[second:]):
            message.add(piece)
        assert message.data == data


@pytest.mark.parametrize(("data", "place"), BAD.values(), ids=BAD)
def test_the_first_byte_that_makes_a_text_none_is_refused(data: bytes, place: int) -> None:
    for piece_length in (1, 2, len(data)):
        message = Unfinished(TEXT, True)
        before = data[:place]
        for start in range(0, place, piece_length):
            message.add(before[start : start + piece_length])
        with pytest.raises(UnicodeDecodeError):
            message.add(data[place : place + 1])


def test_the_characters_around_the_surrogates_are_taken_in_byte_by_byte() -> None:
    message = Unfinished(TEXT, True)
    for byte in "\ud7ff\ue000".encode():
        message.add(bytes([byte]))
    assert message.data == b"\xed\x9f\xbf\xee\x80\x80"


@pytest.mark.parametrize(("first", "is_plain"), [(BINARY, True), (TEXT | 0x40, False)])
def test_bytes_that_are_no_text_yet_are_not_looked_at(first: int, is_plain: bool) -> None:
    message = Unfinished(first, is_plain)
    message.add(b"a\xff")
    message.add(b"\xed\xa0")
    assert message.data == b"a\xff\xed\xa0"
    assert message.first == first


@pytest.mark.parametrize(
    ("first", "is_text"), [(TEXT, True), (WHOLE_TEXT, True), (0x41, True), (BINARY, False)]
)
def test_the_opcode_says_whether_it_is_a_text(first: int, is_text: bool) -> None:
    assert Unfinished(first, True).is_text is is_text


def test_a_frame_that_is_arriving_has_its_header_and_what_has_come() -> None:
    header = (TEXT, 5, b"", 2)
    assert Arriving(header, 3) == (header, 3)


# Bytes that nobody has looked at


def test_bytes_are_kept_from_where_nobody_has_looked() -> None:
    unread = Unread(b"seen, unseen", 6)
    assert (bytes(unread.data[unread.start :]), len(unread), unread.is_last) == (
        b"unseen",
        6,
        False,
    )


def test_those_that_come_behind_are_added_and_those_seen_are_let_go() -> None:
    unread = Unread(b"seen, unseen", 6)
    unread.add(b" and")
    unread.start += 2
    unread.add(b" more")
    assert bytes(unread.data[unread.start :]) == b"seen and more"
    assert len(unread) == 13
    assert bytes(unread.data) == b"unseen and more"


def test_what_was_given_is_not_changed() -> None:
    data = b"abc"
    unread = Unread(data, 0)
    assert unread.data is data
    unread.add(b"d")
    assert data == b"abc"


def test_behind_the_last_bytes_nothing_is_added() -> None:
    unread = Unread(b"last", 0)
    unread.is_last = True
    unread.add(b" words")
    assert bytes(unread.data) == b"last"
