"""The WebSocket protocol without I/O: for a bare TCP server, or another event loop.

Choose a driver, move bytes between it and a socket, and handle its events:

    driver = Server(protocols=["chat"])
    while data := sock.recv(65536):
        driver.receive_data(data)
        while events := driver.events():
            for event in events:
                match event:
                    case Connect():
                        driver.start()
                    case Message():
                        driver.text("Hello")
                    case Close():
                        driver.answer_close()
            sock.sendall(driver.data_to_send())

At the end of the bytes call `receive_eof()`, and take the events once more.
"""

from .base import Driver
from .client import Client
from .events import Close, Connect, Event, Message, Open, Ping, Pong
from .http import Headers, Request, Response
from .prepared import PreparedMessage
from .server import RequestServer, Server

__all__ = [
    "Client",
    "Close",
    "Connect",
    "Driver",
    "Event",
    "Headers",
    "Message",
    "Open",
    "Ping",
    "Pong",
    "PreparedMessage",
    "Request",
    "RequestServer",
    "Response",
    "Server",
]
