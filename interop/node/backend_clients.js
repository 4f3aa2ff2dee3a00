// Two GramJS clients of one bot against a backend of examples/backends: they sign in, hear of each other, and lose interest.
//
// usage: node backend_clients.js DATA
"use strict";

const assert = require("node:assert");
const { Api } = require("telegram");
const { Raw } = require("telegram/events");
const { API_HASH, API_ID, addressOf, clientOf, gate, run, say } = require("./common");

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
  const client = clientOf(data, [addressOf(data)]);
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

run(main(process.argv[2]));
