// An echo on ws.

const { WebSocketServer } = require("ws");
const announce = require("./ready");

const options = {
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  maxPayload: 64 * 2 ** 20,
};

const server = new WebSocketServer(options, announce);

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
