"""Measure what an idle event stream takes on gevent's pywsgi.

    python benchmarks/stream_memory.py [STREAMS]

For comparison, a bare generator sends the same head and then waits: that is the cost of the
server itself, which has a greenlet for each response. The result is bytes for each stream: the
growth of the server's proportional set size from a few streams to all, the median of three
runs. Everything is on 127.0.0.1, and no process outlives this one.
"""

import socket
import statistics
import subprocess
import sys
from contextlib import ExitStack

from measure import next_line, running, settled_memory
from peers import HERE, server_environment
from run import raise_file_limit

FEW = 100
ROUNDS = 3
SERVER = """
import gc, signal, sys
import gevent, gevent.event
from gevent.pywsgi import WSGIServer
from faye_ws import EventSource

never = gevent.event.Event()

def stream(environ, start_response):
    return EventSource(environ)(environ, start_response)

def generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b":\\n\\n"
    never.wait()

signal.signal(signal.SIGUSR2, lambda *_: gc.collect())
server = WSGIServer(("127.0.0.1", 0), globals()[sys.argv[1]], log=None, backlog=4096)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
"""


def measure(kind: str, streams: int) -> float:
    command = [sys.executable, "-c", SERVER, kind]
    environment = server_environment(HERE / "node_modules")
    with running(command, None, 300.0, env=environment) as server, ExitStack() as stack:
        port = int(next_line(server))
        before = 0
        for number in range(1, streams + 1):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
            seen = b""
            while b"\n\n" not in seen.partition(b"\r\n\r\n")[2]:
                seen += sock.recv(4096)
            if number == FEW:
                before = settled_memory(server.pid)
        return (settled_memory(server.pid) - before) / (streams - FEW)


def main() -> None:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    raise_file_limit(streams)
    for kind, label in (("stream", "EventSource"), ("generator", "a bare generator")):
        sizes = [measure(kind, streams) for _ in range(ROUNDS)]
        print(f"{label:18} {statistics.median(sizes):8,.0f} bytes for each of {streams:,}")


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
