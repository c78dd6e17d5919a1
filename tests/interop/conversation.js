// A conversation after a script, for clients with the interface of browsers: Chromium and
// those of Node.js. Script and outcome are those of conversation.py.
"use strict";

// `ping(data)` sends a ping and returns a promise of the pong's data; browsers have none.
function converse(socket, script, ping) {
  const outcome = { protocol: "", messages: [], code: null, reason: "" };
  let sent = 0;

  const say = () => {
    const { text, base64 } = script.messages[sent++];
    socket.send(text === undefined ? fromBase64(base64) : text);
  };

  const goOn = () => {
    const said = sent === script.messages.length;
    if (!said && (script.at_once || sent === outcome.messages.length)) {
      do { say(); } while (script.at_once && sent < script.messages.length);
    } else if (said && outcome.messages.length === script.hears && script.close) {
      socket.close(...script.close);
    }
  };

  return new Promise((resolve, reject) => {
    socket.binaryType = "arraybuffer";
    socket.onopen = async () => {
      outcome.protocol = socket.protocol;
      if (script.ping) {
        outcome.pong = { base64: toBase64(await ping(fromBase64(script.ping.base64))) };
      }
      goOn();
    };
    socket.onmessage = ({ data }) => {
      outcome.messages.push(typeof data === "string" ? { text: data } : { base64: toBase64(data) });
      goOn();
    };
    // The close event that follows tells as much.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => resolve({ ...outcome, code, reason });
    setTimeout(() => reject(new Error(`no end; so far ${JSON.stringify(outcome)}`)), 20000).unref?.();
  });
}

function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return typeof Buffer === "undefined" ? bytes : Buffer.from(bytes);
}

function toBase64(data) {
  return btoa(Array.from(new Uint8Array(data), (byte) => String.fromCharCode(byte)).join(""));
}

if (typeof module !== "undefined") {
  module.exports = { converse };
}
