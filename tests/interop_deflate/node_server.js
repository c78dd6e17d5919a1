// An echo server on Node.js: http://.../ws?OPTIONS or /faye-websocket?OPTIONS, where OPTIONS is
// the JSON of the options of its permessage-deflate. It prints its port.
"use strict";

const http = require("node:http");

const ACCEPT = {
  "/ws"(request, socket, head, options) {
    const { WebSocketServer } = require("ws");
    const server = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 0, ...options } });
    server.handleUpgrade(request, socket, head, (ws) => {
      ws.on("error", () => {});
      ws.on("message", (data, binary) => {
        if (data.length % 2) {
          ws.send(data, { binary });
        } else {
          // In fragments: the first of them may be empty, and so may the last.
          ws.send(data.subarray(0, data.length >> 1), { binary, fin: false });
          ws.send(data.subarray(data.length >> 1), { binary, fin: true });
        }
      });
    });
  },
  "/faye-websocket"(request, socket, head, options) {
    const WebSocket = require("faye-websocket");
    const deflate = require("permessage-deflate");
    const ws = new WebSocket(request, socket, head, [], { extensions: [deflate.configure(options)] });
    ws.onmessage = ({ data }) => ws.send(data);
  },
};

const server = http.createServer();
server.on("upgrade", (request, socket, head) => {
  const { pathname, search } = new URL(request.url, "http://localhost");
  ACCEPT[pathname](request, socket, head, JSON.parse(decodeURIComponent(search.slice(1)) || "{}"));
});
server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
