// Runs with the environment of @anthropic-ai/sdk as its working directory; the URL of a gateway in front of OpenAI
// Responses is in argv. Prints JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "dummy", maxRetries: 0, timeout: 60000 });
const ask = [{ role: "user", content: "Hello" }];
const thinking = { type: "enabled", budget_tokens: 1024 };
const tools = [
  {
    name: "weather",
    description: "The weather of a city.",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];
const search = [{ type: "web_search_20250305", name: "web_search", max_uses: 3 }];
const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

const request = (model, more = {}) => ({ model: `openai/gpt-5.5-${model}`, max_tokens: 2000, messages: ask, ...more });
const create = (model, more) => client.messages.create(request(model, more));
const streamed = (model, more) => client.messages.stream(request(model, more)).finalMessage();
const both = async (model, more) => ({ created: await create(model, more), streamed: await streamed(model, more) });

async function raised(work) {
  try {
    await work();
    return { class: null };
  } catch (error) {
    return { class: error.constructor.name, status: error.status ?? null, message: error.message };
  }
}
const failing = async (model) => ({
  create: await raised(() => create(model)),
  stream: await raised(() => streamed(model)),
});

async function toolLoop() {
  const messages = [{ role: "user", content: "Weather in Rhodes and Kos?" }];
  const first = await streamed("tools", { messages, tools, thinking });
  const results = first.content
    .filter((block) => block.type === "tool_use")
    .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: "sunny" }));
  messages.push({ role: "assistant", content: first.content }, { role: "user", content: results });
  return { first, second: await create("tools", { messages, tools, thinking }) };
}

async function searching() {
  const found = await both("web", { tools: search, thinking });
  const messages = [...ask, { role: "assistant", content: found.streamed.content }, { role: "user", content: "Sure?" }];
  return { ...found, again: await create("text", { messages, tools: search, thinking }) };
}

const counted = await client.messages.countTokens({
  model: "openai/gpt-5.5-text",
  messages: ask,
  tools,
  system: "Be brief.",
});

console.log(
  JSON.stringify({
    text: await both("text"),
    tool_loop: await toolLoop(),
    thinking: await both("think", { thinking }),
    unasked: await both("think"),
    structured: await both("json", { output_config: { format: { type: "json_schema", schema } } }),
    search: await searching(),
    stop: await both("count", { stop_sequences: ["five"] }),
    refusal: await both("refuse"),
    long: await both("long"),
    count: counted.input_tokens,
    limited: await failing("limited"),
    overflow: await failing("overflow"),
    late_overflow: await failing("late-overflow"),
    unknown: await failing("unknown"),
    failed: await failing("failed"),
    error_event: await raised(() => streamed("error-event")),
    cut: await raised(() => streamed("cut")),
  }),
);
