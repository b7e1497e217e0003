// The AI SDK, `ai`, with one of its providers: `ai.mjs chat|responses|compatible|messages|gemini`.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import * as kit from "./kit.mjs";

const apiKey = kit.TOKEN;
const v1 = { baseURL: `${kit.BASE}/v1`, apiKey };
const providers = {
  chat: () => createOpenAI(v1).chat,
  responses: () => createOpenAI(v1),
  compatible: () =>
    createOpenAICompatible({ ...v1, name: "gateway", includeUsage: true, supportsStructuredOutputs: true }),
  messages: () => createAnthropic(v1),
  gemini: () => createGoogleGenerativeAI({ baseURL: `${kit.BASE}/v1beta`, apiKey }),
};
const at = providers[process.argv[2]]();
// Its own retries ignore x-should-retry and take six seconds.
const once = { maxRetries: 0 };
const Person = z.object({ name: z.string(), tags: z.array(z.string()) });

await kit.serve({
  async text(model) {
    return { text: (await generateText({ ...once, model: at(model), prompt: kit.HELLO })).text };
  },
  async stream(model) {
    let failed = null;
    const onError = ({ error }) => (failed = error);
    const told = await kit.streamed(streamText({ ...once, model: at(model), prompt: kit.HELLO, onError }).textStream);
    if (failed) throw failed;
    return told;
  },
  async tools(model) {
    const calls = [];
    const tools = Object.fromEntries(
      Object.entries(kit.RESULTS).map(([name, result]) => {
        const execute = async (given) => (calls.push([name, given]), result);
        return [name, tool({ description: name, inputSchema: z.object({ city: z.string() }), execute })];
      }),
    );
    const answer = await generateText({ ...once, model: at(model), prompt: kit.QUESTION, tools, stopWhen: isStepCount(3) });
    return { calls, text: answer.text };
  },
  async structured(model) {
    const answer = await generateText({ ...once, model: at(model), prompt: kit.ABOUT, output: Output.object({ schema: Person }) });
    return { parsed: answer.output };
  },
  async image(model) {
    const content = [
      { type: "text", text: kit.LOOK },
      { type: "image", image: Buffer.from(kit.PICTURE, "base64"), mediaType: "image/png" },
    ];
    return { text: (await generateText({ ...once, model: at(model), messages: [{ role: "user", content }] })).text };
  },
});
