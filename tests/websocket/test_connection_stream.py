"""A connection as a duplex stream: pipes, pauses, and the end of what is written."""

from __future__ import annotations

import io

import gevent

from faye_ws import MessageEvent, ReadyState, WebSocket
from support import serving
from support.parts import is_stalled
from support.serving import BINARY, DEADLINE, TEXT, Serving, frame, text, wait_for

connect = serving.connect


def test_end_sends_a_last_message_and_closes(connect: Serving) -> None:
    ws, peer = connect()
    ws.end("goodbye")
    assert peer.read_text() == "goodbye"
    assert peer.read_close() == (1000, "")
    ws.end("again")
    ws.end()
    peer.send(serving.close())
    assert ws.wait_closed(DEADLINE).was_clean
    assert peer.read_to_end() == b""


def test_a_pipe_carries_messages_to_another_connection_and_ends_it(connect: Serving) -> None:
    target, reader = connect()
    source, writer = connect()
    assert source.pipe(target) is target
    writer.send(text("text") + frame(BINARY, b"bytes"))
    assert reader.read_frames(2) == [(TEXT, b"text"), (BINARY, b"bytes")]
    writer.send(serving.close())
    assert writer.read_close() == (1000, "")
    assert reader.read_close() == (1000, "")


def test_a_pipe_carries_messages_to_a_file_and_closes_it(connect: Serving) -> None:
    class File(io.StringIO):
        def close(self) -> None:
            written.append(self.getvalue())
            super().close()

    written: list[str] = []
    ws, peer = connect(lambda ws: ws.pipe(File()))
    peer.send(text("one ") + text("two") + serving.close())
    assert peer.read_close() == (1000, "")
    wait_for(lambda: written, "the file is closed")
    assert written == ["one two"]
    assert ws.ready_state is ReadyState.CLOSED


def test_a_pipe_to_a_slow_reader_makes_the_writer_wait(connect: Serving) -> None:
    target, reader = connect(max_backlog=2**16)
    source, writer = connect()
    source.pipe(target)
    count = 256
    sent: list[int] = []

    def write() -> None:
        for number in range(count):
            writer.send(frame(BINARY, bytes(2**16)))
            sent.append(number)

    writing = gevent.spawn(write)
    wait_for(lambda: is_stalled(source), "the writer has to wait")
    assert len(sent) < count
    assert target.buffered_amount < 2**18
    assert reader.read_frames(count) == [(BINARY, bytes(2**16))] * count
    writing.get(timeout=DEADLINE)


def test_a_pipe_in_a_circle_echoes(connect: Serving) -> None:
    _, peer = connect(lambda ws: ws.pipe(ws))
    assert peer.echoes("around")
    peer.send(serving.close())
    assert peer.read_close() == (1000, "")


def test_a_paused_connection_tells_its_listeners_nothing_until_it_resumes(
    connect: Serving,
) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        ws.pause()
        ws.on("message", lambda event: heard.append(event.data))

    ws, peer = connect(accept)
    messages = [str(number) for number in range(10)]
    peer.send(b"".join(text(message) for message in messages))
    for _ in range(10):
        gevent.sleep(0.001)
    assert heard == []
    ws.resume()
    wait_for(lambda: len(heard) == 10, "the listener has heard all")
    ws.pause()
    peer.send(text("last"))
    for _ in range(10):
        gevent.sleep(0.001)
    assert heard == messages
    ws.resume()
    wait_for(lambda: heard == [*messages, "last"], "it has heard the last")


def test_data_is_heard_as_messages_are_and_end_before_close(connect: Serving) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        @ws.on("data")
        def data(event: MessageEvent) -> None:
            heard.append(f"{event.type} {event.data!r}")

        ws.on("end", lambda event: heard.append(event.type))
        ws.on("close", lambda event: heard.append(event.type))

    _, peer = connect(accept)
    peer.send(text("text") + frame(BINARY, b"bytes") + serving.close())
    assert peer.read_close() == (1000, "")
    wait_for(lambda: len(heard) == 4, "all is heard")
    assert heard == ["data 'text'", "data b'bytes'", "end", "close"]


def test_pipes_can_be_chained(connect: Serving) -> None:
    first, writer = connect()
    second, filter = connect()
    third, reader = connect()
    first.pipe(second).pipe(third)
    writer.send(text("to the filter"))
    assert filter.read_text() == "to the filter"
    filter.send(text("from the filter"))
    assert reader.read_text() == "from the filter"
