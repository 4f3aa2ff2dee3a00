// GramJS, and how it calls a method that is not in its schema.
"use strict";

const assert = require("node:assert");
const { clientOf } = require("./common");

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

async function connect(data, addresses) {
  const client = clientOf(data, addresses);
  await client.connect();
  return (entry) => client.invoke(new Append(entry));
}

module.exports = { connect };
