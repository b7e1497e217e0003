// The official `openai` package: `openai.mjs chat` or `openai.mjs responses`.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as kit from "./kit.mjs";

const client = new OpenAI({ baseURL: kit.BASE, apiKey: kit.TOKEN });
const user = (content) => [{ role: "user", content }];
const functions = Object.keys(kit.RESULTS).map((name) => ({ name, parameters: kit.CITY, strict: true }));
const Person = z.object({ name: z.string(), tags: z.array(z.string()) });

const chat = {
  async text(model) {
    const answer = await client.chat.completions.create({ model, messages: user(kit.HELLO) });
    return { text: answer.choices[0].message.content };
  },
  async stream(model) {
    const options = { stream: true, stream_options: { include_usage: true } };
    const frames = await client.chat.completions.create({ model, messages: user(kit.HELLO), ...options });
    return kit.streamed(
      (async function* () {
        for await (const frame of frames) yield frame.choices[0]?.delta.content;
      })(),
    );
  },
  async tools(model) {
    const tools = functions.map((one) => ({ type: "function", function: one }));
    const first = await client.chat.completions.create({ model, messages: user(kit.QUESTION), tools });
    const said = first.choices[0].message;
    const results = said.tool_calls.map((call) => ({
      role: "tool",
      tool_call_id: call.id,
      content: kit.RESULTS[call.function.name],
    }));
    const end = await client.chat.completions.create({ model, messages: [...user(kit.QUESTION), said, ...results], tools });
    const calls = said.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
    return { calls, text: end.choices[0].message.content };
  },
  async structured(model) {
    const format = zodResponseFormat(Person, "person");
    const answer = await client.chat.completions.parse({ model, messages: user(kit.ABOUT), response_format: format });
    return { parsed: answer.choices[0].message.parsed };
  },
  async image(model) {
    const parts = [
      { type: "text", text: kit.LOOK },
      { type: "image_url", image_url: { url: kit.PICTURE_URL } },
    ];
    const answer = await client.chat.completions.create({ model, messages: user(parts) });
    return { text: answer.choices[0].message.content };
  },
};

const responses = {
  async text(model) {
    return { text: (await client.responses.create({ model, input: kit.HELLO })).output_text };
  },
  async stream(model) {
    const stream = client.responses.stream({ model, input: kit.HELLO });
    const told = await kit.streamed(
      (async function* () {
        for await (const event of stream) if (event.type === "response.output_text.delta") yield event.delta;
      })(),
    );
    const whole = (await stream.finalResponse()).output_text;
    return { ...told, text: whole };
  },
  async tools(model) {
    const tools = functions.map((one) => ({ type: "function", ...one }));
    const first = await client.responses.create({ model, input: kit.QUESTION, tools });
    const made = first.output.filter((item) => item.type === "function_call");
    const input = made.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: kit.RESULTS[call.name] }));
    const end = await client.responses.create({ model, input, previous_response_id: first.id, tools });
    return { calls: made.map((call) => [call.name, JSON.parse(call.arguments)]), text: end.output_text };
  },
  async structured(model) {
    const text = { format: zodTextFormat(Person, "person") };
    return { parsed: (await client.responses.parse({ model, input: kit.ABOUT, text })).output_parsed };
  },
  async image(model) {
    const parts = [
      { type: "input_text", text: kit.LOOK },
      { type: "input_image", image_url: kit.PICTURE_URL, detail: "auto" },
    ];
    return { text: (await client.responses.create({ model, input: user(parts) })).output_text };
  },
};

await kit.serve({ chat, responses }[process.argv[2]]);
