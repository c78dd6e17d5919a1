"""An echo on a bare TCP server: the driver alone, without WSGI or gevent.

    python examples/tcp_echo.py

The driver does no I/O, so this could be any server: here it is the standard library's,
with a thread for each connection. Connect to ws://127.0.0.1:7002/ with any client.
"""

from socketserver import BaseRequestHandler, ThreadingTCPServer

from faye_ws.driver import Close, Connect, Message, Server


class Echo(BaseRequestHandler):
    def handle(self):
        driver = Server(protocols=["echo"], max_length=2**20)
        while True:
            data = self.request.recv(65536)
            if data:
                driver.receive_data(data)
            else:
                driver.receive_eof()
            while events := driver.events():
                for event in events:
                    self.answer(driver, event)
                self.request.sendall(driver.data_to_send())
                if isinstance(events[-1], Close):
                    return

    def answer(self, driver, event):
        if isinstance(event, Connect):
            driver.start()
        elif isinstance(event, Message) and isinstance(event.data, str):
            driver.text(event.data)
        elif isinstance(event, Message):
            driver.binary(event.data)
        elif isinstance(event, Close):
            driver.answer_close()
            print("close", event.code, event.reason)


class EchoServer(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with EchoServer(("127.0.0.1", 7002), Echo) as server:
        print("ws://127.0.0.1:7002/")
        server.serve_forever()
