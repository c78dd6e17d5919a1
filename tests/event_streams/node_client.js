// Prints what the EventSource of npm hears: node node_client.js URL COUNT
"use strict";

const { EventSource } = require("../interop/node_modules/eventsource");

const [url, count] = process.argv.slice(2);
const es = new EventSource(url);
let left = Number(count);
const note = (event) => {
  console.log(JSON.stringify([event.type, event.data, event.lastEventId]));
  if (--left === 0) process.exit();
};
for (const type of ["message", "tick"]) es.addEventListener(type, note);
