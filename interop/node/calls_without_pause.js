// Calls without a pause, several at a time of one GramJS client, while the gateway that it is at is killed, and then the other.
//
// No call may fail: each is answered, or sent again by GramJS. Leaves `calls.txt` in the data directory: for every call its
// entry and when it was begun and answered, Unix time in seconds.
//
// usage: node calls_without_pause.js DATA FIRST_ENTRY ADDRESS...
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { clientOf, gate, run } = require("./common");

const LANES = 8;
const CALLS_BETWEEN = 200;

// `ledger.append entry:long = ledger.Entry`, a method of the tests' backend alone.
class Append {
  constructor(entry) {
    this.classType = "request";
    this.className = "ledger.Append";
    this.entry = entry;
  }

  getBytes() {
    const body = Buffer.alloc(12);
    body.writeUInt32LE(0x7e570003);
    body.writeBigInt64LE(BigInt(this.entry), 4);
    return body;
  }

  readResult(reader) {
    assert.equal(reader.readInt(false), 0x7e570004);
    return Number(reader.readLong());
  }

  async resolve() {}
}

async function main(data, first, ...addresses) {
  const client = clientOf(data, addresses);
  await client.connect();
  const calls = [];
  let [next, failed, ended] = [Number(first), null, false];
  const lane = async () => {
    while (!ended) {
      const [entry, begun] = [next++, Date.now()];
      assert.equal(await client.invoke(new Append(entry)), entry);
      calls.push([entry, begun, Date.now()]);
    }
  };
  const lanes = Array.from({ length: LANES }, () => lane().catch((error) => (failed = error)));
  const moreCalls = async () => {
    const wanted = calls.length + CALLS_BETWEEN;
    while (calls.length < wanted) {
      if (failed) throw failed;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  for (const step of addresses.keys()) {
    await moreCalls();
    await gate(`kill ${step}`);
    // What was answered before it says nothing of whoever answers now.
    await moreCalls();
    await gate(`answered ${step}`);
  }
  ended = true;
  await Promise.all(lanes);
  if (failed) throw failed;

  const lines = calls.map(([entry, ...times]) => `${entry} ${times.map((ms) => ms / 1000).join(" ")}\n`);
  fs.writeFileSync(path.join(data, "calls.txt"), lines.join(""));
}

run(main(...process.argv.slice(2)));
