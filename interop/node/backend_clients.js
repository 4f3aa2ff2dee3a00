// Two GramJS clients of one bot against a backend of examples/backends: they sign in, hear of each other, and lose interest.
//
// usage: node backend_clients.js DATA
//
// Nothing of GramJS is changed: a data centre's address is in the session and in a connection of its own class, and the server's key in its table of keys.
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const bigInt = require("big-integer");
const { Api, TelegramClient } = require("telegram");
const { _serverKeys } = require("telegram/crypto/RSA");
const { Raw } = require("telegram/events");
const { ConnectionTCPObfuscated } = require("telegram/network");
const { Logger, LogLevel } = require("telegram/extensions/Logger");
const { StringSession } = require("telegram/sessions");

// The published example of Telegram's own clients.
const API_ID = 4;
const API_HASH = "014b35b6184100b085b0d0572f9b5103";
const BOT = 1000;

async function main(data) {
  const clients = [await connect(data), await connect(data)];
  const [first, second] = clients;
  for (const { client } of clients) {
    await refused(() => who(client), "AUTH_KEY_UNREGISTERED");
    await refused(() => signIn(client, "nonsense"), "ACCESS_TOKEN_INVALID");
    const { user } = await signIn(client, `${BOT}:secret`);
    assert.equal(Number(user.id), BOT);
    await who(client);
  }

  // What one says the other hears, and not the one that said it.
  await status(first, false);
  assert.equal((await second.next()).className, "UserStatusOnline");
  await status(second, true);
  assert.equal((await first.next()).className, "UserStatusOffline");
  assert.equal(second.heard.length, 0);

  await loseInterest(first.client);
  say("dropped");

  // The server dies; the one after it must ask the backend who they are.
  await gate("restart");
  for (const { client } of clients) await who(client);
  await status(first, false);
  assert.equal((await second.next()).className, "UserStatusOnline");

  await first.client.invoke(new Api.auth.LogOut());
  await refused(() => who(first.client), "AUTH_KEY_UNREGISTERED");
}

async function connect(data) {
  const { tcp } = JSON.parse(fs.readFileSync(path.join(data, "endpoints.json")));
  const pem = fs.readFileSync(path.join(data, "server_public.pem"));
  const { n, e } = crypto.createPublicKey(pem).export({ format: "jwk" });
  trust(Buffer.from(n, "base64url"), Buffer.from(e, "base64url"));
  const [host, port] = tcp[0].split(":");
  const session = new StringSession("");
  session.setDC(2, host, 80);
  // It dials port 80 whatever the session says, which keeps no port from 32768 on.
  class ToServer extends ConnectionTCPObfuscated {
    constructor(options) {
      super({ ...options, port: Number(port) });
    }
  }
  const client = new TelegramClient(session, API_ID, API_HASH, {
    baseLogger: new Logger(LogLevel.NONE),
    connection: ToServer,
    // The server may be away for as long as a restart takes.
    connectionRetries: 100,
    retryDelay: 100,
    requestRetries: 20,
  });

  const heard = [];
  let wake = () => {};
  const onUpdate = (update) => {
    heard.push(update.status);
    wake();
  };
  client.addEventHandler(onUpdate, new Raw({ types: [Api.UpdateUserStatus] }));
  await client.connect();
  const next = async () => {
    while (heard.length === 0) await new Promise((resolve) => (wake = resolve));
    return heard.shift();
  };
  return { client, heard, next };
}

// Enters a server's key where GramJS looks for it: by its fingerprint, the end of the SHA-1 of both numbers in TL.
function trust(n, e) {
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

function signIn(client, botAuthToken) {
  const application = { flags: 0, apiId: API_ID, apiHash: API_HASH };
  return client.invoke(new Api.auth.ImportBotAuthorization({ ...application, botAuthToken }));
}

async function who(client) {
  const [user] = await client.invoke(new Api.users.GetUsers({ id: [new Api.InputUserSelf()] }));
  assert.equal(Number(user.id), BOT);
}

async function status({ client }, offline) {
  assert.equal(await client.invoke(new Api.account.UpdateStatus({ offline })), true);
}

async function refused(call, message) {
  await assert.rejects(call, (error) => error.errorMessage === message);
}

// Calls what is never answered, then drops the answer.
async function loseInterest(client) {
  const request = new Api.messages.GetBotCallbackAnswer({ peer: new Api.InputPeerSelf(), msgId: 1 });
  const sender = client._sender;
  // It never ends, one way or the other.
  client.invoke(request).catch(() => {});
  await gate("waits");
  const pending = Array.from(sender._pendingState.values());
  const { msgId } = pending.find((state) => state.request === request);
  const dropped = await client.invoke(new Api.RpcDropAnswer({ reqMsgId: msgId }));
  assert.equal(dropped.className, "RpcAnswerDroppedRunning");
  sender._pendingState.getAndDelete(msgId);
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

main(process.argv[2]).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
