// The official `@google/genai` package.
import { GoogleGenAI } from "@google/genai";
import * as kit from "./kit.mjs";

const client = new GoogleGenAI({ apiKey: kit.TOKEN, httpOptions: { baseUrl: kit.BASE } });
const ask = (model, contents, config = {}) => client.models.generateContent({ model, contents, config });
const tools = [
  { functionDeclarations: Object.keys(kit.RESULTS).map((name) => ({ name, parametersJsonSchema: kit.CITY })) },
];

await kit.serve({
  async text(model) {
    return { text: (await ask(model, kit.HELLO)).text };
  },
  async stream(model) {
    const chunks = await client.models.generateContentStream({ model, contents: kit.HELLO });
    return kit.streamed(
      (async function* () {
        for await (const chunk of chunks) yield chunk.text;
      })(),
    );
  },
  async tools(model) {
    const question = { role: "user", parts: [{ text: kit.QUESTION }] };
    const first = await ask(model, [question], { tools });
    const made = first.functionCalls;
    const parts = made.map(({ id, name }) => ({
      functionResponse: { id, name, response: { output: kit.RESULTS[name] } },
    }));
    const end = await ask(model, [question, first.candidates[0].content, { role: "user", parts }], { tools });
    return { calls: made.map(({ name, args }) => [name, args]), text: end.text };
  },
  async structured(model) {
    const config = { responseMimeType: "application/json", responseJsonSchema: kit.PERSON };
    return { parsed_text: (await ask(model, kit.ABOUT, config)).text };
  },
  async image(model) {
    const picture = { inlineData: { mimeType: "image/png", data: kit.PICTURE } };
    return { text: (await ask(model, [picture, { text: kit.LOOK }])).text };
  },
});
