// What the client programs share: where a server is, how GramJS reaches it, and how to report.
//
// Nothing of GramJS is changed: a data centre's address is in the session and in a connection of its own class, and the server's key in its table of keys.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const bigInt = require("big-integer");
const { TelegramClient } = require("telegram");
const { _serverKeys } = require("telegram/crypto/RSA");
const { ConnectionTCPObfuscated } = require("telegram/network");
const { Logger, LogLevel } = require("telegram/extensions/Logger");
const { StringSession } = require("telegram/sessions");

// The published example of Telegram's own clients.
const API_ID = 4;
const API_HASH = "014b35b6184100b085b0d0572f9b5103";

// Returns where the server with this data directory listens.
function addressOf(data) {
  return JSON.parse(fs.readFileSync(path.join(data, "endpoints.json"))).tcp[0];
}

// Makes a client of the servers with the key in this data directory, which dials their addresses in turn.
function clientOf(data, addresses) {
  trust(fs.readFileSync(path.join(data, "server_public.pem")));
  const session = new StringSession("");
  session.setDC(2, "127.0.0.1", 80);
  let dialled = 0;
  // It dials port 80 whatever the session says, which keeps no port from 32768 on.
  class InTurn extends ConnectionTCPObfuscated {
    connect() {
      const [host, port] = addresses[dialled++ % addresses.length].split(":");
      [this._ip, this._port] = [host, Number(port)];
      return super.connect();
    }
  }
  return new TelegramClient(session, API_ID, API_HASH, {
    baseLogger: new Logger(LogLevel.NONE),
    connection: InTurn,
    // The server may be away for as long as a restart takes.
    connectionRetries: 100,
    retryDelay: 100,
    requestRetries: 20,
  });
}

// Enters a server's key where GramJS looks for it: by its fingerprint, the end of the SHA-1 of both numbers in TL.
function trust(pem) {
  const jwk = crypto.createPublicKey(pem).export({ format: "jwk" });
  const [n, e] = [jwk.n, jwk.e].map((number) => Buffer.from(number, "base64url"));
  const packed = Buffer.concat([n, e].map(bytes));
  const digest = crypto.createHash("sha1").update(packed).digest();
  const fingerprint = digest.subarray(-8).readBigInt64LE();
  const modulus = bigInt(n.toString("hex"), 16);
  _serverKeys.set(fingerprint.toString(), { n: modulus, e: e.readUIntBE(0, e.length) });
}

// TL's `bytes`.
function bytes(data) {
  const long = [254, data.length & 255, (data.length >> 8) & 255, data.length >> 16];
  const head = Buffer.from(data.length < 254 ? [data.length] : long);
  return Buffer.concat([head, data, Buffer.alloc(-(head.length + data.length) & 3)]);
}

function say(step) {
  console.log(`@ ${step}`);
}

const lines = readline.createInterface({ input: process.stdin });
async function gate(step) {
  const line = new Promise((resolve) => lines.once("line", resolve));
  say(step);
  await line;
}

// Runs a program to its end, or to an error that the harness shows.
function run(main) {
  main.then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

module.exports = { API_HASH, API_ID, addressOf, clientOf, gate, run, say };
