// The stock `socket.io-client` in the namespace /ai/stream: chats only.
import { io } from "socket.io-client";
import * as kit from "./kit.mjs";

const auth = { token: kit.TOKEN, tenantId: "acme", userId: "ada" };
const socket = io(`${kit.ORIGIN}/ai/stream`, { auth, reconnection: false });
let asked = 0;

function chat(model) {
  const requestId = `r${(asked += 1)}`;
  return new Promise((resolve, reject) => {
    const pieces = [];
    const listen = (event, told) => {
      if (told?.requestId !== requestId) return;
      if (event === "chat.chunk") pieces.push(told.chunk.delta);
      if (event === "chat.complete" || event === "chat.error") socket.offAny(listen);
      if (event === "chat.complete") resolve({ text: pieces.join(""), pieces: pieces.length });
      if (event === "chat.error") reject(Object.assign(new Error(JSON.stringify(told)), { name: told.error.code }));
    };
    socket.onAny(listen);
    socket.emit("chat.stream.start", { requestId, model, messages: [{ role: "user", content: kit.HELLO }] });
  });
}

await kit.serve({ text: chat, stream: chat });
