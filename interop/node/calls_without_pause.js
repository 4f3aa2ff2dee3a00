// Calls without a pause, several at a time of one client of one library, while processes of the cluster are killed.
//
// No call may fail: each is answered, or sent again by the library. Leaves `calls.txt` in the data directory: for every call
// its entry and when it was begun and answered, Unix time in seconds.
//
// usage: node calls_without_pause.js LIBRARY DATA FIRST_ENTRY KILLS ADDRESS...
//
// LIBRARY is the file in which it learns to call `ledger.append entry:long = ledger.Entry`, a method of the tests' backend alone.
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { gate, run } = require("./common");

const LANES = 8;
const CALLS_BETWEEN = 200;

async function main(library, data, first, kills, ...addresses) {
  const append = await require(library).connect(data, addresses);
  const calls = [];
  let [next, failed, ended] = [Number(first), null, false];
  const lane = async () => {
    while (!ended) {
      const [entry, begun] = [next++, Date.now()];
      assert.equal(await append(entry), entry);
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

  for (let kill = 0; kill < Number(kills); kill++) {
    await moreCalls();
    await gate(`kill ${kill}`);
    // What was answered before it says nothing of whoever answers now.
    await moreCalls();
    await gate(`answered ${kill}`);
  }
  ended = true;
  await Promise.all(lanes);
  if (failed) throw failed;

  const lines = calls.map(([entry, ...times]) => `${entry} ${times.map((ms) => ms / 1000).join(" ")}\n`);
  fs.writeFileSync(path.join(data, "calls.txt"), lines.join(""));
}

run(main(...process.argv.slice(2)));
