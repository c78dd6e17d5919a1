"""faye_ws: a listener that sends the next message."""

import sys

import gevent
from load import WARM_UP, Counter, announce, read_load

from faye_ws import Client, MessageEvent

load = read_load()
counter = Counter(load)
clients = []
for _ in range(load.connections):
    # One after the other, as the others here do.
    clients.append(Client(load.url, proxy=False))
    clients[-1].wait_open()

if load.mode == "hold":
    for ws in clients:
        ws.send(load.payload)
        ws.receive()
    announce()
    gevent.get_hub().threadpool.apply(sys.stdin.read)
    sys.exit()


def answer(event: MessageEvent) -> None:
    counter.count += 1
    event.target.send(load.payload)


for ws in clients:
    ws.on("message", answer)
    for _ in range(load.in_flight):
        ws.send(load.payload)
gevent.sleep(WARM_UP)
counter.begin()
gevent.sleep(load.seconds)
counter.report()
