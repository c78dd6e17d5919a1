"""What an application passes on can't become a field, an event or a header of its own.

The class of CVE-2026-33128 (a bare CR gets past a check for LF), CVE-2026-44214,
GHSA-p6xx-57qc-3wxr and flask-sse#40 (fields of event streams), and of CVE-2026-1527 (header
fields of an upgrade).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from faye_ws import Client, EventHistory, EventSource, WebSocket, broadcast

DEADLINE = 10.0
# WHATWG HTML, 9.2.5: "end-of-line = ( cr lf / cr / lf )".
ENDS_OF_LINES = {"CR": "\r", "LF": "\n", "CRLF": "\r\n"}
BREAKS = {**ENDS_OF_LINES, "NUL": "\0"}

end = pytest.mark.parametrize("end", ENDS_OF_LINES.values(), ids=ENDS_OF_LINES)
line_break = pytest.mark.parametrize("line_break", BREAKS.values(), ids=BREAKS)

Stream = Callable[[EventSource], object]
Serve = Callable[[Stream], bytes]


def forgery(end: str) -> str:
    """Return a text that would be an event, an ID and a delay of its own if lines got through."""
    return end.join(("harmless", "", "event: admin", "id: 666", "retry: 1", "data: forged", "", ""))


def fields_of(stream: bytes) -> list[tuple[str, str]]:
    """Return the fields of an event stream, as a client finds them; empty lines have no name."""
    parts = [line.partition(":") for line in re.split("\r\n|\r|\n", stream.decode())]
    return [(name, value.removeprefix(" ")) for name, _, value in parts]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return the body of the response that a stream becomes on a server."""
    streams: list[Stream] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        es = EventSource(environ, ping=None, retry=None)
        streams.pop()(es)
        es.close()
        return es(environ, start_response)

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()

    def read(stream: Stream) -> bytes:
        streams.append(stream)
        with socket.create_connection(("127.0.0.1", server.server_port)) as peer:
            peer.settimeout(DEADLINE)
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: peer.recv(2**16), b""))
        return answer.partition(b"\r\n\r\n")[2]

    yield read
    server.stop()


# Event streams


@end
def test_data_can_not_become_fields_or_events(serve: Serve, end: str) -> None:
    fields = fields_of(serve(lambda es: es.send(forgery(end))))
    assert {name for name, _ in fields} == {"", "data"}
    assert [value for name, value in fields if name == "data"] == forgery("\n").split("\n")


@end
def test_data_of_a_broadcast_and_of_a_history_can_not_become_fields(serve: Serve, end: str) -> None:
    def stream(es: EventSource) -> None:
        history = EventHistory()
        history.subscribe(es)
        history.publish(forgery(end))
        broadcast([es], forgery(end), id=1)

    fields = fields_of(serve(stream))
    assert {name for name, _ in fields} == {"", "id", "data"}
    assert "666" not in dict(fields).values()
    data = [value for name, value in fields if name == "data"]
    assert data == forgery("\n").split("\n") * 2


@end
def test_a_message_that_is_piped_into_a_stream_can_not_become_fields(
    serve: Serve, end: str
) -> None:
    fields = fields_of(serve(lambda es: es.write(forgery(end))))
    assert {name for name, _ in fields} == {"", "data"}


@end
def test_a_comment_can_not_become_fields(serve: Serve, end: str) -> None:
    # A field without a name is a comment.
    fields = fields_of(serve(lambda es: es.comment(forgery(end))))
    assert {name for name, _ in fields} == {""}


@line_break
@pytest.mark.parametrize("field", ["event", "id"])
def test_a_type_or_an_id_with_a_line_break_is_refused_and_nothing_of_it_is_sent(
    serve: Serve, field: str, line_break: str
) -> None:
    value = f"a{line_break}data: forged"

    def stream(es: EventSource) -> None:
        history = EventHistory()
        history.subscribe(es)
        sends: list[Callable[..., object]] = [es.send, history.append, history.publish]
        for send in sends:
            with pytest.raises(ValueError, match=field):
                send("x", **{field: value})
        with pytest.raises(ValueError, match=field):
            broadcast([es], "x", **{field: value})
        assert len(history) == 0

    assert b"forged" not in serve(stream)


@line_break
def test_an_id_that_a_client_claims_can_not_become_fields(serve: Serve, line_break: str) -> None:
    # An application may well send back what the client says it has seen.
    es = EventSource({"HTTP_LAST_EVENT_ID": f"a{line_break}data: forged"})
    with pytest.raises(ValueError, match="id"):
        es.send("x", id=es.last_event_id)
    with pytest.raises(ValueError, match="id"):
        EventSource.Client("http://localhost/", last_event_id=f"a{line_break}X-Forged: 1")


def test_a_delay_can_only_be_a_number() -> None:
    for retry in ("1\ndata: forged", "1"):
        with pytest.raises(TypeError, match="retry"):
            EventSource({}, retry=retry)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="retry"):
            EventSource({}).send("x", retry=retry)  # type: ignore[arg-type]


# Header fields


@line_break
def test_a_server_adds_no_header_field_with_a_line_break(line_break: str) -> None:
    environ = {"REQUEST_METHOD": "GET"}
    for headers in (
        {"X-Name": f"a{line_break}Set-Cookie: forged"},
        {f"X-Name{line_break}Set-Cookie": "forged"},
    ):
        with pytest.raises(ValueError, match="X-Name"):
            WebSocket(environ, headers=headers)
        with pytest.raises(ValueError, match="X-Name"):
            EventSource(environ, headers=headers)
    with pytest.raises(ValueError, match="subprotocol"):
        WebSocket(environ, protocols=[f"a{line_break}Set-Cookie: forged"])


@pytest.fixture
def listener() -> Iterator[Any]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def options_with(value: str, port: int) -> list[tuple[str, dict[str, Any]]]:
    """Return what a client may be given, with a value at every place that goes into a head."""
    url, proxy = f"ws://127.0.0.1:{port}/", f"http://127.0.0.1:{port}"
    return [
        (url, {"headers": {"X-Name": value}}),
        (url, {"headers": {f"X-{value}": "a"}}),
        (url, {"headers": [("X-Name", value)]}),
        (url, {"origin": value}),
        (url, {"protocols": [value]}),
        (f"{url}{value}", {}),
        (f"{url}?{value}", {}),
        (f"ws://user{value}:password@127.0.0.1:{port}/", {}),
        (f"ws://127.0.0.1{value}:{port}/", {}),
        ("ws://example.com/", {"proxy": {"origin": proxy, "headers": {"X-Name": value}}}),
        (f"ws://example.com{value}/", {"proxy": proxy}),
    ]


@line_break
def test_a_client_sends_no_upgrade_with_a_line_break_in_it(listener: Any, line_break: str) -> None:
    port = listener.getsockname()[1]
    for url, options in options_with(f"a{line_break}X-Forged: 1", port):
        with pytest.raises(ValueError, match=r"."):
            Client(url, **options)
    # Nothing was refused too late: the first that comes to the server is what is allowed.
    ws = Client(f"ws://127.0.0.1:{port}/allowed")
    with gevent.Timeout(DEADLINE):
        accepted, _ = listener.accept()
        assert accepted.recv(2**16).startswith(b"GET /allowed HTTP/1.1\r\n")
    accepted.close()
    ws.wait_closed(DEADLINE)


@line_break
def test_a_clients_user_of_a_proxy_can_not_become_a_header_field(
    listener: Any, line_break: str
) -> None:
    port = listener.getsockname()[1]
    name = f"a{line_break}X-Forged: 1"
    ws = Client("ws://example.com/", proxy=f"http://{name}:password@127.0.0.1:{port}")
    with gevent.Timeout(DEADLINE):
        accepted, _ = listener.accept()
        head = accepted.recv(2**16)
    assert [line.partition(b":")[0] for line in head.split(b"\r\n")] == [
        b"CONNECT example.com",
        b"Host",
        b"Proxy-Authorization",
        b"",
        b"",
    ]
    accepted.close()
    ws.wait_closed(DEADLINE)


@line_break
def test_a_client_of_event_streams_sends_no_header_field_with_a_line_break(
    listener: Any, line_break: str
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    forged: list[dict[str, Any]] = [
        {"X-Name": f"a{line_break}X-Forged: 1"},
        {"X-Name": f"a{line_break}X-Forged: 1".encode()},
        {f"X-Name{line_break}X-Forged": "1"},
    ]
    for headers in forged:
        with pytest.raises(ValueError, match=r"(?i)header|break"):
            EventSource.Client(url, headers=headers)
    es = EventSource.Client(f"{url}{line_break}X-Forged: 1")
    with gevent.Timeout(DEADLINE):
        accepted, _ = listener.accept()
        head = accepted.recv(2**16)
    assert b"X-Forged" not in [line.partition(b":")[0] for line in re.split(b"\r|\n", head)]
    es.close()
    accepted.close()
