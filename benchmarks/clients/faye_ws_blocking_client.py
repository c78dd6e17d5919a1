"""faye_ws, as a script uses it: send, receive, send, one greenlet for each connection."""

import gevent
from load import WARM_UP, Counter, read_load

from faye_ws import Client

load = read_load()
counter = Counter(load)
clients = [Client(load.url, connect_timeout=60, proxy=False) for _ in range(load.connections)]
for ws in clients:
    ws.wait_open()


def talk(ws: Client) -> None:
    for _ in range(load.in_flight):
        ws.send(load.payload)
    while True:
        ws.receive()
        counter.count += 1
        ws.send(load.payload)


for ws in clients:
    gevent.spawn(talk, ws)
gevent.sleep(WARM_UP)
counter.begin()
gevent.sleep(load.seconds)
counter.report()
