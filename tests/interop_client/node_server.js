// Echo servers on Node.js, one plain and one with TLS: node node_server.js ws|faye-websocket CERT KEY
// What they do depends on the path, as with the servers beside this one.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
// Installed for the tests next door.
const modules = "../interop/node_modules/";

const [kind, cert, key] = process.argv.slice(2);

const ACCEPT = {
  ws(request, socket, head) {
    const { WebSocketServer } = require(modules + "ws");
    const server = new WebSocketServer({
      noServer: true,
      handleProtocols: (protocols) => protocols.has("irc") && "irc",
      perMessageDeflate: true,
    });
    server.handleUpgrade(request, socket, head, (ws) => {
      ws.on("message", (data, binary) => ws.send(data, { binary }));
      if (request.url === "/close") ws.close(3001, "bye");
    });
  },
  "faye-websocket"(request, socket, head) {
    const WebSocket = require(modules + "faye-websocket");
    const ws = new WebSocket(request, socket, head, ["irc"]);
    ws.onmessage = ({ data }) => ws.send(data);
    if (request.url === "/close") ws.onopen = () => ws.close(3001, "bye");
  },
};

const servers = [http.createServer(), https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })];
for (const server of servers) {
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => {});
    if (request.url === "/refuse") {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno entry");
    } else {
      ACCEPT[kind](request, socket, head);
    }
  });
}
servers[0].listen(0, "127.0.0.1", () =>
  servers[1].listen(0, "127.0.0.1", () =>
    console.log(`plain ${servers[0].address().port} secure ${servers[1].address().port}`)));
