// The protocol between the rig and a client program on Node, and what all programs ask for: kit.py in JavaScript.
import { createInterface } from "node:readline";

export const BASE = process.env.GATEWAY_BASE;
export const ORIGIN = process.env.GATEWAY_ORIGIN;
export const TOKEN = process.env.GATEWAY_TOKEN;
export const PICTURE = Buffer.from(process.env.GATEWAY_PICTURE, "hex").toString("base64"); // a PNG
export const PICTURE_URL = `data:image/png;base64,${PICTURE}`;

export const HELLO = "Hello there";
export const LOOK = "What is it?";
export const QUESTION = "What is the weather in Paris and the time in Rome?";
export const ABOUT = "Tell me about Ada Lovelace.";
export const RESULTS = { get_weather: "21 degrees", get_time: "noon" };
export const CITY = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
export const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, tags: { type: "array", items: { type: "string" } } },
  required: ["name", "tags"],
  additionalProperties: false,
};

// What a stream of texts gave.
export async function streamed(pieces) {
  const texts = [];
  for await (const piece of pieces) if (piece) texts.push(piece);
  return { text: texts.join(""), pieces: texts.length };
}

// The HTTP status that an error, or one that led to it, carries.
function status(error) {
  for (let one = error; one; one = one.cause ?? one.lastError) {
    const found = [one.status, one.statusCode, one.code].find(Number.isInteger);
    if (found !== undefined) return found;
  }
  return null;
}

// Do jobs until stdin ends: each feature takes the model and gives what the client gave.
export async function serve(features) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { feature, model } = JSON.parse(line);
    let told;
    try {
      told = features[feature] ? await features[feature](model) : { not_offered: true };
    } catch (error) {
      told = { error: { class: error?.name ?? typeof error, status: status(error), text: String(error?.message ?? error) } };
    }
    process.stdout.write(JSON.stringify(told) + "\n");
  }
  process.exit(0);
}
