"""websocket-client: it blocks, so each connection but the only one has a thread."""

import os
import sys
import threading
import time

from load import WARM_UP, Counter, announce, read_load
from websocket import ABNF, WebSocket, create_connection

load = read_load()
counter = Counter(load)
clients = [create_connection(load.url, timeout=60) for _ in range(load.connections)]
opcode = ABNF.OPCODE_TEXT if isinstance(load.payload, str) else ABNF.OPCODE_BINARY

if load.mode == "hold":
    for ws in clients:
        ws.send(load.payload, opcode)
        ws.recv()
    announce()
    sys.stdin.read()
    sys.exit()


def talk(ws: WebSocket) -> None:
    for _ in range(load.in_flight):
        ws.send(load.payload, opcode)
    while True:
        ws.recv()
        counter.count += 1
        ws.send(load.payload, opcode)


for ws in clients:
    threading.Thread(target=talk, args=[ws], daemon=True).start()
time.sleep(WARM_UP)
counter.begin()
time.sleep(load.seconds)
counter.report()
# Threads that are in the middle of something have nothing to say any more.
os._exit(0)
