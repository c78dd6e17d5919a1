"""A chat room in Flask: a view that returns the WebSocket.

    pip install flask
    python examples/flask_app.py

Then open http://127.0.0.1:7001/ in two windows.
"""

from flask import Flask, request
from gevent.pywsgi import WSGIServer

from faye_ws import WebSocket, broadcast

PAGE = """<!doctype html><title>Room</title><form><input autofocus autocomplete=off></form><ol></ol>
<script>
const ws = new WebSocket(location.href.replace("http", "ws") + "room")
ws.onmessage = event => {
  const line = document.createElement("li")
  line.textContent = event.data
  document.querySelector("ol").append(line)
}
document.forms[0].onsubmit = event => {
  event.preventDefault()
  ws.send(event.target[0].value)
  event.target.reset()
}
</script>"""

app = Flask(__name__)
room = set()


@app.route("/")
def page():
    return PAGE


# Flask routes WebSocket handshakes to rules that say so.
@app.route("/room", websocket=True)
def enter():
    ws = WebSocket(request.environ, ping=30)

    @ws.on("open")
    def opened(event):
        room.add(ws)

    @ws.on("message")
    def message(event):
        broadcast(room, event.data)

    @ws.on("close")
    def closed(event):
        room.discard(ws)

    return ws


if __name__ == "__main__":
    print("http://127.0.0.1:7001/")
    WSGIServer(("127.0.0.1", 7001), app).serve_forever()
