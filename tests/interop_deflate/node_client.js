// A client on Node.js. On the standard input: the messages, and for each conversation a
// module, a URL and the options of its permessage-deflate. On the standard output: for each,
// the answers. Every second message of ws goes out in fragments.
"use strict";

const { readFileSync } = require("node:fs");

const CONNECT = {
  ws(url, options) {
    const { WebSocket } = require("ws");
    return new WebSocket(url, { perMessageDeflate: { threshold: 0, ...options } });
  },
  "faye-websocket"(url, options) {
    const { Client } = require("faye-websocket");
    const deflate = require("permessage-deflate");
    return new Client(url, [], { extensions: [deflate.configure(options)] });
  },
};

function send(module, socket, message, number) {
  if (module === "ws" && number % 2 && message.length > 3) {
    const middle = message.length >> 1;
    socket.send(message.slice(0, 1), { fin: false });
    socket.send(message.slice(1, middle), { fin: false });
    socket.send(message.slice(middle), { fin: true });
  } else {
    socket.send(message);
  }
}

function converse({ module, url, options }, messages) {
  return new Promise((resolve, reject) => {
    const socket = CONNECT[module](url, options);
    const answers = [];
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      messages.forEach((message, number) => send(module, socket, unpack(message), number));
      socket.send("report");
    };
    socket.onmessage = ({ data }) => {
      answers.push(typeof data === "string" ? { text: data } : { base64: Buffer.from(data).toString("base64") });
      if (answers.length === messages.length + 1) {
        socket.close(1000);
      }
    };
    socket.onerror = ({ message }) => reject(new Error(`${url} ${JSON.stringify(options)}: ${message}`));
    socket.onclose = ({ code, reason }) => {
      resolve({ answers, code, reason });
    };
  });
}

function unpack({ text, base64 }) {
  return text === undefined ? Buffer.from(base64, "base64") : text;
}

async function main() {
  const { messages, conversations } = JSON.parse(readFileSync(0));
  const outcomes = [];
  for (const conversation of conversations) {
    outcomes.push(await converse(conversation, messages));
  }
  process.stdout.write(JSON.stringify(outcomes), () => process.exit());
}

main();
