// The stock socket.io-client against a running gateway: `node chat.mjs <origin> <token> <tenant>`.
// Prints one JSON object: what each kind of connection heard. Judging it is the caller's business.
import { io } from "socket.io-client";

const [origin, token, tenantId] = process.argv.slice(2);
const messages = [{ role: "user", content: "Hello from a browser, more or less" }];
const LIMIT_MS = 10_000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${LIMIT_MS} ms: ${what}`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function connect(auth, options = {}) {
  return io(`${origin}/ai/stream`, { auth, reconnection: false, forceNew: true, ...options });
}

// One whole chat: every event in the order in which it came.
function chat(socket, requestId, more = {}) {
  return within(
    new Promise((resolve) => {
      const heard = [];
      const listen = (event, data) => {
        if (data?.requestId !== requestId) return;
        heard.push([event, data]);
        if (event === "chat.complete" || event === "chat.error") {
          socket.offAny(listen);
          resolve(heard);
        }
      };
      socket.onAny(listen);
      socket.emit("chat.stream.start", { requestId, messages, ...more });
    }),
    `chat ${requestId}`,
  );
}

function opened(socket) {
  return within(
    new Promise((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("connect_error", reject);
    }),
    "connect",
  );
}

function refused(auth) {
  const socket = connect(auth);
  return within(
    new Promise((resolve) => {
      socket.on("connect", () => resolve({ message: "connected" }));
      socket.on("connect_error", (error) => resolve({ message: error.message, data: error.data }));
    }),
    "connect_error",
  ).finally(() => socket.close());
}

// `upgrades`: the transport is expected to begin as polling and to become a WebSocket.
async function converse(options, upgrades) {
  const socket = connect({ token, tenantId, userId: "ada" }, options);
  await opened(socket);
  const engine = socket.io.engine;
  if (upgrades && engine.transport.name !== "websocket") {
    await within(new Promise((resolve) => engine.once("upgrade", resolve)), "upgrade");
  }
  const heard = await chat(socket, "first");
  const both = await Promise.all([chat(socket, "a"), chat(socket, "b", { model: "claude-sonnet-4-6" })]);
  const wrong = await chat(socket, "wrong", { messages: [] });
  const transport = engine.transport.name;
  socket.close();
  return { transport, heard, both, wrong };
}

const found = {
  upgraded: await converse({}, true),
  polling: await converse({ transports: ["polling"] }, false),
  websocket: await converse({ transports: ["websocket"] }, false),
  badToken: await refused({ token: "sk-wrong", tenantId, userId: "ada" }),
  noToken: await refused({ tenantId, userId: "ada" }),
  otherTenant: await refused({ token, tenantId: "globex", userId: "ada" }),
};
process.stdout.write(JSON.stringify(found) + "\n");
process.exit(0); // the last poll of a connection that was refused would keep the process for a while
