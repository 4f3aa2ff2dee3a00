// mtcute with forward secrecy, and how it calls a method that is not in its schema.
//
// Nothing of it is changed: servers' keys and methods are entered in its tables, and addresses are in a transport of its own class.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { BaseTelegramClient, Long, MemoryStorage, TcpTransport } = require("@mtcute/node");
const { LogManager, addPublicKey } = require("@mtcute/core/utils.js");
const { API_HASH, API_ID } = require("./common");

async function connect(data, addresses) {
  let dialled = 0;
  class InTurn extends TcpTransport {
    connect() {
      const [ipAddress, port] = addresses[dialled++ % addresses.length].split(":");
      return super.connect({ ipAddress, port: Number(port) });
    }
  }
  const dc = { id: 2, ipAddress: "127.0.0.1", port: 443 };
  const client = new BaseTelegramClient({
    apiId: API_ID,
    apiHash: API_HASH,
    storage: new MemoryStorage(),
    transport: new InTurn(),
    defaultDcs: { main: dc, media: dc },
    network: { usePfs: true },
    reconnectionStrategy: () => 100,
    disableUpdates: true,
    logLevel: LogManager.OFF,
  });
  addPublicKey(client.crypto, fs.readFileSync(path.join(data, "server_public.pem"), "utf8"));
  client.mt._writerMap["ledger.append"] = (writer, { entry }) => {
    writer.uint(0x7e570003);
    writer.long(Long.fromNumber(entry));
  };
  client.mt._readerMap[0x7e570004] = (reader) => reader.long().toNumber();
  await client.connect();
  return (entry) => client.call({ _: "ledger.append", entry });
}

module.exports = { connect };
