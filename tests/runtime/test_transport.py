"""Bytes between a socket and its owner."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import gevent
import pytest

from support.serving import DEADLINE, wait_for
from support.transports import Ends, tcp_pair

# More than the kernel takes on its own.
FLOOD = bytes(range(256)) * 2**14


@pytest.fixture(params=[socket.socketpair, tcp_pair], ids=["UNIX", "TCP"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    pair = Ends(request.param())
    yield pair
    pair.stop()


def test_bytes_and_their_end_are_told(ends: Ends) -> None:
    ends.peer.send(b"one ")
    wait_for(lambda: ends.owner.data == b"one ", "the first have come")
    ends.peer.send(b"two")
    ends.peer.shutdown(socket.SHUT_WR)
    wait_for(lambda: ends.owner.told, "the end has come")
    assert ends.owner.data == b"one two"
    assert ends.owner.told == ["eof"]
    ends.transport.write(b"still heard")
    assert ends.peer_reads(11) == b"still heard"


def test_what_the_socket_takes_goes_out_at_once(ends: Ends) -> None:
    ends.transport.write(b"at once")
    assert ends.transport.backlog == 0
    assert ends.peer.recv(100) == b"at once"


def test_what_the_socket_does_not_take_goes_out_when_it_can(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    assert 0 < ends.transport.backlog < len(FLOOD)
    ends.transport.write(b"the end")
    assert ends.owner.told == []
    assert ends.peer_reads(len(FLOOD) + 7) == FLOOD + b"the end"
    wait_for(lambda: ends.owner.told, "the backlog is gone")
    assert ends.owner.told == ["drained"]
    assert ends.transport.backlog == 0


def test_a_transport_that_is_paused_reads_nothing(ends: Ends) -> None:
    ends.transport.pause_reading()
    ends.peer.send(b"waits")
    for _ in range(5):
        gevent.sleep(0.001)
    ends.transport.poll()
    assert ends.owner.data == b""
    ends.transport.resume_reading()
    ends.transport.resume_reading()
    wait_for(lambda: ends.owner.data == b"waits", "they have come")


def test_poll_reads_what_is_there_without_the_loop(ends: Ends) -> None:
    ends.transport.poll()
    assert ends.owner.data == b""
    ends.peer.send(b"there")
    ends.transport.poll()
    assert ends.owner.data == b"there"


def test_close_sends_what_waits_and_lingers_until_the_peer_has_done(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    ends.transport.close()
    ends.transport.write(b"too late")
    assert ends.owner.told == []
    assert ends.peer_reads(len(FLOOD) + 1) == FLOOD
    # Nothing of this is told, and nothing of it answered with a reset.
    ends.peer.send(b"not heard")
    gevent.sleep(0.01)
    assert ends.peer.recv(100) == b""
    assert ends.owner.told == []
    ends.peer.close()
    wait_for(lambda: ends.owner.told == ["released"], "the socket is released")
    assert ends.owner.data == b""
    assert ends.ours.fileno() == -1


def test_what_comes_while_the_last_bytes_go_out_is_told_but_its_end_is_not(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    ends.transport.close()
    ends.peer.send(b"heard")
    wait_for(lambda: ends.owner.data == b"heard", "it is told")
    ends.peer.shutdown(socket.SHUT_WR)
    assert ends.peer_reads(len(FLOOD) + 1) == FLOOD
    wait_for(lambda: ends.owner.told == ["released"], "the socket is released")


def test_bytes_that_nobody_has_read_do_not_reset_the_last_ones_we_sent() -> None:
    ends = Ends(tcp_pair())
    ends.transport.pause_reading()
    ends.peer.send(bytes(2**16))
    ends.transport.write(FLOOD)
    ends.transport.close()
    assert ends.peer_reads(len(FLOOD) + 1) == FLOOD
    ends.peer.close()
    wait_for(lambda: "released" in ends.owner.told, "the socket is released")
    ends.stop()


def test_close_releases_at_once_when_the_peer_has_done(ends: Ends) -> None:
    ends.peer.shutdown(socket.SHUT_WR)
    wait_for(lambda: ends.owner.told == ["eof"], "the end has come")
    ends.transport.close()
    assert ends.owner.told == ["eof", "released"]
    assert ends.peer_reads(1) == b""


def test_abort_releases_at_once_and_once(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    ends.transport.abort()
    ends.transport.abort()
    ends.transport.close()
    ends.transport.write(b"no")
    ends.transport.pause_reading()
    ends.transport.resume_reading()
    ends.transport.poll()
    gevent.sleep(0)
    assert ends.owner.told == ["released"]
    assert ends.transport.backlog == 0
    assert ends.ours.fileno() == -1


@pytest.mark.parametrize("state", ["reading", "paused", "writing", "closing", "lingering"])
def test_a_reset_ends_every_state(state: str) -> None:
    ends = Ends(tcp_pair())
    if state == "paused":
        ends.transport.pause_reading()
    if state in ("writing", "closing"):
        ends.transport.write(FLOOD)
    if state in ("closing", "lingering"):
        ends.transport.close()
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()
    if state == "paused":
        gevent.sleep(0.01)
        assert ends.owner.told == []
        ends.transport.write(b"anybody?")
    if state in ("reading", "paused", "writing"):
        wait_for(lambda: "eof" in ends.owner.told, "the end is told")
        assert ends.owner.told.count("eof") == 1
        ends.transport.write(b"nobody")
        ends.transport.close()
    wait_for(lambda: ends.owner.told[-1:] == ["released"], "the socket is released")
    assert ends.owner.told.count("released") == 1


def test_an_owner_that_fails_loses_its_connection_and_nothing_else(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    ends.owner.data_received = fail  # type: ignore[method-assign]
    ends.peer.send(b"x")
    wait_for(lambda: ends.owner.told == ["released"], "the connection is dropped")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_an_interrupt_in_the_hub_drops_the_connection_and_reaches_the_main_greenlet(
    ends: Ends,
) -> None:
    # The loop stops a watcher whose callback raises: nobody would ever read again.
    def interrupt(data: bytes) -> None:
        raise KeyboardInterrupt

    ends.owner.data_received = interrupt  # type: ignore[method-assign]
    ends.peer.send(b"x")
    with pytest.raises(KeyboardInterrupt):
        gevent.sleep(DEADLINE)
    wait_for(lambda: ends.owner.told == ["released"], "the connection is dropped")


def test_a_socket_that_is_to_be_kept_is_shut_down_and_left_open() -> None:
    ends = Ends(tcp_pair(), keep_socket=True)
    ends.transport.abort()
    assert ends.owner.told == ["released"]
    assert ends.ours.fileno() != -1
    assert ends.peer_reads(1) == b""
    assert ends.ours.recv(1) == b""
    ends.stop()


def test_forget_closes_our_copy_without_a_word_to_the_peer() -> None:
    ours, peer = tcp_pair()
    parents = ours.dup()
    ends = Ends((ours, peer))
    ends.transport.forget()
    ends.transport.forget()
    assert ends.owner.told == []
    assert ours.fileno() == -1
    parents.send(b"the parent goes on")
    assert ends.peer_reads(18) == b"the parent goes on"
    parents.close()
    ends.stop()


class Failing:
    """A socket that another one is behind, of which some calls fail."""

    def __init__(self, sock: socket.socket, **failures: BaseException) -> None:
        self._socket = sock
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        error = self._failures.get(name)
        if error is None:
            return getattr(self._socket, name)

        def fail(*args: object) -> None:
            raise error

        return fail


def test_a_transport_whose_socket_cannot_be_shut_down_is_released(ends: Ends) -> None:
    ends.transport.socket = Failing(ends.ours, shutdown=OSError("not connected"))
    ends.transport.close()
    assert ends.owner.told == ["released"]
    assert ends.ours.fileno() == -1


def test_a_socket_that_cannot_be_closed_is_let_go_of() -> None:
    ends = Ends(tcp_pair())
    ends.transport.socket = Failing(ends.ours, close=OSError("no"))
    ends.transport.abort()
    assert ends.owner.told == ["released"]
    assert ends.transport.socket is None
    ends.stop()


def test_a_wake_up_that_nothing_stands_behind_reads_nothing(ends: Ends) -> None:
    ends.transport.socket = Failing(ends.ours, recv=InterruptedError())
    ends.transport.poll()
    ends.transport.socket = ends.ours
    assert ends.owner.data == b""
    assert ends.owner.told == []


def test_a_socket_that_takes_nothing_now_is_written_when_it_does(ends: Ends) -> None:
    ends.transport.socket = Failing(ends.ours, send=BlockingIOError())
    ends.transport.write(b"later")
    assert ends.transport.backlog == 5
    ends.transport.socket = ends.ours
    assert ends.peer_reads(5) == b"later"
    wait_for(lambda: ends.owner.told == ["drained"], "all is sent")


def test_what_waits_goes_on_waiting_when_the_socket_takes_nothing(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    before = ends.transport.backlog
    ends.transport.socket = Failing(ends.ours, send=BlockingIOError())
    # Room for the watcher to see it writable, which it is with all that the peer has read.
    ends.peer_reads(len(FLOOD) - before)
    gevent.sleep(0.01)
    assert ends.transport.backlog == before
    ends.transport.socket = ends.ours
    assert ends.peer_reads(before) == FLOOD[-before:]


def test_a_socket_that_fails_as_the_backlog_goes_out_is_read_to_its_end(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    ends.transport.pause_reading()
    ends.transport.socket = Failing(ends.ours, send=BrokenPipeError())
    ends.peer_reads(len(FLOOD) - ends.transport.backlog)
    wait_for(lambda: ends.transport.is_broken, "writing has failed")
    assert ends.transport.backlog == 0
    ends.peer.send(b"the last")
    ends.peer.shutdown(socket.SHUT_WR)
    wait_for(lambda: ends.owner.told == ["eof"], "the end is told")
    assert ends.owner.data == b"the last"


def test_an_owner_that_fails_as_the_backlog_goes_out_loses_its_connection(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    ends.owner.progressed = fail  # type: ignore[method-assign]
    ends.transport.write(FLOOD)
    ends.peer_reads(len(FLOOD) - ends.transport.backlog)
    wait_for(lambda: ends.owner.told == ["released"], "the connection is dropped")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_a_peer_that_has_left_is_noticed_though_nothing_is_read() -> None:
    ends = Ends(tcp_pair())
    ends.transport.look()
    ends.transport.pause_reading()
    ends.peer.send(b"unread")
    ends.transport.look()
    assert ends.transport.is_paused
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()

    def is_noticed() -> bool:
        ends.transport.look()
        return ends.transport.is_broken

    wait_for(is_noticed, "the peer has left")
    wait_for(lambda: "eof" in ends.owner.told, "its end is told")
    ends.stop()


def test_what_the_peer_has_taken_is_known_where_the_kernel_says_so() -> None:
    ends = Ends(tcp_pair())
    before = ends.transport.taken()
    ends.transport.write(b"ten bytes!")
    assert ends.peer_reads(10) == b"ten bytes!"
    wait_for(lambda: ends.transport.taken() == before + 10, "they are acknowledged")
    ends.transport.abort()
    assert ends.transport.taken() == 0
    ends.stop()


def test_a_connection_is_forgotten_though_its_loop_is_destroyed(ends: Ends) -> None:
    class Destroyed:
        active = False

        def stop(self) -> None:
            raise ValueError("a watcher of a loop that is destroyed")

        close = stop

    watcher = ends.transport._reader
    ends.transport._reader = Destroyed()
    ends.transport.forget()
    watcher.stop()
    watcher.close()
    assert ends.ours.fileno() == -1
    assert ends.owner.told == []
