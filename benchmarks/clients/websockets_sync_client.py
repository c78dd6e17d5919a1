"""websockets, its blocking client: each connection has a thread of its own, and one of ours."""

import os
import sys
import threading
import time

from load import WARM_UP, Counter, announce, read_load
from websockets.sync.client import ClientConnection, connect

load = read_load()
counter = Counter(load)
options = {"compression": None, "max_size": None, "ping_interval": None, "proxy": None}
clients = [connect(load.url, **options) for _ in range(load.connections)]

if load.mode == "hold":
    for ws in clients:
        ws.send(load.payload)
        ws.recv()
    announce()
    sys.stdin.read()
    os._exit(0)


def talk(ws: ClientConnection) -> None:
    for _ in range(load.in_flight):
        ws.send(load.payload)
    while True:
        ws.recv()
        counter.count += 1
        ws.send(load.payload)


for ws in clients:
    threading.Thread(target=talk, args=[ws], daemon=True).start()
time.sleep(WARM_UP)
counter.begin()
time.sleep(load.seconds)
counter.report()
os._exit(0)
