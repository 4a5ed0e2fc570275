// Runs with the environment of @anthropic-ai/sdk as its working directory; the gateway's URL is in argv. Prints JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "dummy", maxRetries: 0, timeout: 60000 });
const messages = [{ role: "user", content: "Hello" }];
const tools = [
  {
    name: "weather",
    description: "The weather of a city.",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];

async function raised(work) {
  try {
    await work();
    return { class: null };
  } catch (error) {
    return { class: error.constructor.name, status: error.status ?? null, message: error.message };
  }
}

const created = await client.messages.create({ model: "sonnet", max_tokens: 100, messages });
const text = await client.messages.stream({ model: "sonnet", max_tokens: 100, messages }).finalMessage();
const called = await client.messages.stream({ model: "lab/tools", max_tokens: 100, messages, tools }).finalMessage();
const results = called.content
  .filter((block) => block.type === "tool_use")
  .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: "sunny" }));
const followed = await client.messages.create({
  model: "lab/tools",
  max_tokens: 100,
  tools,
  messages: [...messages, { role: "assistant", content: called.content }, { role: "user", content: results }],
});
const thought = await client.messages
  .stream({ model: "lab/think", max_tokens: 2000, messages, thinking: { type: "enabled", budget_tokens: 1024 } })
  .finalMessage();
const counted = await client.messages.countTokens({ model: "sonnet", messages, tools });
const listed = [];
for await (const model of client.models.list({ limit: 1000 })) listed.push(model.id);

console.log(
  JSON.stringify({
    created,
    text,
    called,
    followed,
    thought,
    counted: counted.input_tokens,
    listed,
    limited: await raised(() => client.messages.create({ model: "lab/limited", max_tokens: 10, messages })),
    overflow: await raised(() => client.messages.create({ model: "lab/overflow", max_tokens: 10, messages })),
    unknown: await raised(() => client.messages.create({ model: "no-such-model", max_tokens: 10, messages })),
    broken: await raised(() => client.messages.stream({ model: "lab/broken", max_tokens: 10, messages }).finalMessage()),
  }),
);
