// An echo on faye-websocket, the sibling on Node.

const http = require("http");
const WebSocket = require("faye-websocket");
const announce = require("./ready");

const server = http.createServer();

server.on("upgrade", (request, socket, body) => {
  const ws = new WebSocket(request, socket, body);
  ws.on("message", (event) => ws.send(event.data));
});

server.listen(Number(process.argv[2]), "127.0.0.1", announce);
