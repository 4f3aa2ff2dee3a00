// A backend in JavaScript: signs bots in, and tells each one's other sessions that it is online.
//
// usage: node backend.js ADDRESS PUSH_ADDRESS
//
// Teaches: how to serve both forms of the contract with @grpc/grpc-js, call by call and on one stream, and how to read and
// write TL with GramJS's types. docs/backends.md walks through it. State is kept in memory; a real backend keeps it in a
// database.
"use strict";

const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const { Api } = require("telegram");
const { BinaryReader } = require("telegram/extensions");

const definition = loader.loadSync("heliogram/backend/v1/backend.proto", {
  includeDirs: [path.join(__dirname, "../../../schema")],
  keepCase: true,
  // 64 bits are more than a number of JavaScript holds.
  longs: String,
});
const contract = grpc.loadPackageDefinition(definition).heliogram.backend.v1;

class Backend {
  constructor(push) {
    this.push = push;
    // Identity of a client's key -> who has logged in with it.
    this.users = new Map();
    // Identity -> the greatest term that was seen.
    this.terms = new Map();
  }

  // Answers one call; `signal` says when nobody waits for the answer any more.
  async answer(call, signal) {
    if (BigInt(call.term) < (this.terms.get(call.identity) ?? 0n)) {
      // A session node that was cut off does not know yet that another one owns the client by now.
      throw { code: grpc.status.FAILED_PRECONDITION, details: "the call is of an older term" };
    }
    this.terms.set(call.identity, BigInt(call.term));

    let request;
    try {
      request = new BinaryReader(call.body).tgReadObject();
    } catch {
      return error(400, "INPUT_METHOD_INVALID");
    }
    if (request instanceof Api.auth.ImportBotAuthorization) return this.signIn(call, request);
    const user = this.users.get(call.identity);
    if (user === undefined) return error(401, "AUTH_KEY_UNREGISTERED");
    switch (request.className) {
      case "account.UpdateStatus":
        return this.updateStatus(call, user, request);
      case "auth.LogOut":
        this.users.delete(call.identity);
        return { result: new Api.auth.LoggedOut({}).getBytes(), log_out: true };
      case "messages.GetBotCallbackAnswer":
        return neverAnswered(signal);
      case "users.GetUsers":
        return { result: vector([about(user)]) };
      default:
        return error(400, "METHOD_INVALID");
    }
  }

  signIn(call, request) {
    const token = /^(\d+):./.exec(request.botAuthToken);
    if (!token) return error(400, "ACCESS_TOKEN_INVALID");
    const user = token[1];
    this.users.set(call.identity, user);
    // The effect is done before the client gets its answer: pushes to this user reach it from now on.
    const result = new Api.auth.Authorization({ user: about(user) }).getBytes();
    return { result, log_in: user };
  }

  async updateStatus(call, user, request) {
    const now = Math.floor(Date.now() / 1000);
    const status = request.offline
      ? new Api.UserStatusOffline({ wasOnline: now })
      : new Api.UserStatusOnline({ expires: now + 300 });
    const update = new Api.UpdateUserStatus({ userId: BigInt(user), status });
    const body = new Api.UpdateShort({ update, date: now }).getBytes();
    // All sessions of the user but the one that says so.
    const except = { identity: call.identity, session_id: call.session_id };
    const options = { deadline: Date.now() + PUSH_PATIENCE_MS };
    const patient = new grpc.Metadata({ waitForReady: true });
    await new Promise((resolve) => {
      this.push.Push({ targets: [{ user }], except, body }, patient, options, (failure) => {
        if (failure) console.log("not pushed:", failure.details);
        resolve();
      });
    });
    return { result: TRUE };
  }

  // Call by call.
  Call(call, callback) {
    const dropped = new AbortController();
    call.on("cancelled", () => dropped.abort());
    this.answer(call.request, dropped.signal).then((reply) => callback(null, reply), callback);
  }

  // Many on one stream; answers go in whatever order they come about.
  Calls(stream) {
    const running = new Map();
    const endAll = () => running.forEach((dropped) => dropped.abort());
    const onCall = async (id, call) => {
      const dropped = new AbortController();
      running.set(id, dropped);
      // No reply: the call failed.
      const reply = await this.answer(call, dropped.signal).catch(() => undefined);
      running.delete(id);
      if (!dropped.signal.aborted) stream.write({ id, reply });
    };
    stream.on("data", ({ id, call, cancel }) => {
      if (cancel) running.get(id)?.abort();
      else onCall(id, call);
    });
    stream.on("cancelled", endAll);
    stream.on("error", endAll);
    stream.on("end", () => {
      endAll();
      stream.end();
    });
  }

  // Says who has logged in with a key: a session node that has just started does not know.
  FindUser(call, callback) {
    callback(null, { user: this.users.get(call.request.identity) });
  }
}

// Waits for a bot that never says anything: until nobody waits any more.
async function neverAnswered(signal) {
  console.log("waits");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  console.log("cancelled");
  return error(400, "DATA_INVALID");
}

function about(user) {
  return new Api.User({
    id: BigInt(user),
    self: true,
    bot: true,
    botInfoVersion: 1,
    firstName: `Bot ${user}`,
  });
}

function vector(objects) {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x1cb5c415, 0);
  head.writeUInt32LE(objects.length, 4);
  return Buffer.concat([head, ...objects.map((object) => object.getBytes())]);
}

function error(code, message) {
  return { error: { code, message } };
}

// How long a session node may be away before an update is given up; clients ask for what they miss.
const PUSH_PATIENCE_MS = 5000;

const TRUE = Buffer.from([0xb5, 0x75, 0x72, 0x99]);

const [address, pushAddress] = process.argv.slice(2);
const plain = grpc.credentials.createInsecure();
const backend = new Backend(new contract.Push(pushAddress, plain));
const server = new grpc.Server();
server.addService(contract.Backend.service, {
  Call: backend.Call.bind(backend),
  Calls: backend.Calls.bind(backend),
  FindUser: backend.FindUser.bind(backend),
});
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (failure) => {
  if (failure) throw failure;
  console.log("ready");
});
