// A client on Node.js: `node node_client.js ws|faye-websocket`. The script comes on the
// standard input, the outcome goes to the standard output.
"use strict";

const { readFileSync } = require("node:fs");
const { converse } = require("./conversation.js");

const CLIENTS = {
  ws(script) {
    const { WebSocket } = require("ws");
    const { origin, version } = script;
    const options = { origin: origin ?? undefined, protocolVersion: version ?? 13 };
    const socket = new WebSocket(script.url, script.protocols, options);
    const ping = (data) => new Promise((resolve) => {
      socket.once("pong", resolve);
      socket.ping(data);
    });
    const refusal = new Promise((resolve) => {
      socket.on("unexpected-response", (request, response) => {
        request.destroy();
        resolve({ status: response.statusCode });
      });
    });
    return Promise.race([refusal, converse(socket, script, ping)]);
  },

  async "faye-websocket"(script) {
    const { Client } = require("faye-websocket");
    const headers = script.origin ? { Origin: script.origin } : {};
    const socket = new Client(script.url, script.protocols, { headers });
    const ping = (data) => new Promise((resolve) => {
      // It calls back when the pong has the same data, and does not hand them out.
      socket.ping(data.toString(), () => resolve(data));
    });
    const outcome = await converse(socket, script, ping);
    return socket.statusCode === 101 ? outcome : { status: socket.statusCode };
  },
};

const script = JSON.parse(readFileSync(0));
CLIENTS[process.argv[2]](script).then((outcome) => {
  process.stdout.write(JSON.stringify(outcome), () => process.exit());
});
