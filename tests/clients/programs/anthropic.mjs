// The official `@anthropic-ai/sdk` package.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import * as kit from "./kit.mjs";

const client = new Anthropic({ baseURL: kit.BASE, apiKey: kit.TOKEN });
const user = (content) => [{ role: "user", content }];
const words = (message) => message.content.map((block) => block.text ?? "").join("");
const ask = (model, messages, more = {}) => client.messages.create({ model, max_tokens: 1000, messages, ...more });
const tools = Object.keys(kit.RESULTS).map((name) => ({ name, input_schema: kit.CITY }));

await kit.serve({
  async text(model) {
    return { text: words(await ask(model, user(kit.HELLO))) };
  },
  async stream(model) {
    const stream = client.messages.stream({ model, max_tokens: 1000, messages: user(kit.HELLO) });
    const told = await kit.streamed(
      (async function* () {
        for await (const event of stream) yield event.delta?.text;
      })(),
    );
    return { ...told, text: words(await stream.finalMessage()) };
  },
  async tools(model) {
    const first = await ask(model, user(kit.QUESTION), { tools });
    const made = first.content.filter((block) => block.type === "tool_use");
    const results = made.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: kit.RESULTS[call.name] }));
    const said = { role: "assistant", content: first.content };
    const end = await ask(model, [...user(kit.QUESTION), said, ...user(results)], { tools });
    return { calls: made.map((call) => [call.name, call.input]), text: words(end) };
  },
  async structured(model) {
    const person = zodOutputFormat(z.object({ name: z.string(), tags: z.array(z.string()) }));
    const request = { model, max_tokens: 1000, messages: user(kit.ABOUT), output_config: { format: person } };
    return { parsed: (await client.messages.parse(request)).parsed_output };
  },
  async image(model) {
    const source = { type: "base64", media_type: "image/png", data: kit.PICTURE };
    const parts = [{ type: "image", source }, { type: "text", text: kit.LOOK }];
    return { text: words(await ask(model, user(parts))) };
  },
});
