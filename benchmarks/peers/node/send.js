// Sends by @parse/node-apn until standard input ends.
'use strict';
const { readFileSync } = require('node:fs');
const { randomUUID } = require('node:crypto');
const { parseArgs } = require('node:util');
const apn = require('@parse/node-apn');

const names = ['port', 'ca', 'key', 'key-id', 'team-id', 'topic', 'in-flight', 'payload'];
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
const provider = new apn.Provider({
  token: { key: values.key, keyId: values['key-id'], teamId: values['team-id'] },
  address: 'localhost',
  port: Number(values.port),
  ca: readFileSync(values.ca),
  requestTimeout: 30000,
});
const payload = JSON.parse(readFileSync(values.payload, 'utf8'));
const devices = Array.from({ length: 997 }, (_, number) => number.toString(16).padStart(64, '0'));
let stopping = false;
let next = 0;
let total = 0;

async function work() {
  while (!stopping) {
    const note = new apn.Notification();
    note.rawPayload = payload;
    note.id = randomUUID();
    note.topic = values.topic;
    note.pushType = 'alert';
    note.priority = 10;
    note.expiry = 0;
    const { failed } = await provider.send(note, devices[next++ % devices.length]);
    if (failed.length) {
      console.error(failed[0]);
      process.exit(1);
    }
    total += 1;
  }
}

process.stdin.resume();
process.stdin.on('end', () => { stopping = true; });
// The first request opens the connection: without it each of the others would open its own.
(async () => {
  const first = work();
  await new Promise((resolve) => setTimeout(resolve, 300));
  await Promise.all([first, ...Array.from({ length: Number(values['in-flight']) - 1 }, work)]);
  console.log(JSON.stringify({ total }));
  process.exit(0);
})();
