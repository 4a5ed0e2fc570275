// Runs with the environment of @anthropic-ai/sdk as its working directory; the URL of a gateway in front of Claude is in
// argv, and JSON: a picture and a PDF in base64. Prints JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "dummy", maxRetries: 0, timeout: 60000 });
const media = JSON.parse(process.argv[3]);
const ask = [{ role: "user", content: "Hello" }];
const thinking = { type: "adaptive", display: "summarized" };
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
const context = { edits: [{ type: "clear_thinking_20251015", keep: "all" }] };
const inline = (type, media_type) => ({ type, source: { type: "base64", media_type, data: media[media_type] } });

const request = (model, more) => ({ model, max_tokens: 2000, messages: ask, ...more });
const create = (model, more) => client.messages.create(request(model, more));
const streamed = (model, more) => client.messages.stream(request(model, more)).finalMessage();

async function both(model, more) {
  const kinds = [];
  const stream = client.messages.stream(request(model, more));
  for await (const event of stream) kinds.push(event.type);
  const created = await create(model, more);
  return { created, streamed: await stream.finalMessage(), kinds, request_id: created._request_id };
}

async function raised(work) {
  try {
    await work();
    return { class: null };
  } catch (error) {
    const header = (name) => error.headers?.get?.(name) ?? null;
    return {
      class: error.constructor.name,
      status: error.status ?? null,
      body: error.error ?? null,
      request_id: error.requestID ?? null,
      "retry-after": header("retry-after"),
      "x-should-retry": header("x-should-retry"),
    };
  }
}
const failing = async (model, more) => ({
  create: await raised(() => create(model, more)),
  stream: await raised(() => streamed(model, more)),
});

// Two rounds of two calls; the second round's results hold a picture and a PDF, and text stands behind them.
async function toolLoop(way, model) {
  const messages = [{ role: "user", content: "Weather in Rhodes and Kos?" }];
  const answers = [];
  const seen = [inline("image", "image/png"), { type: "text", text: "a map" }, inline("document", "application/pdf")];
  for (const content of ["sunny", seen, ""]) {
    const message = await way(model, { messages, tools, thinking });
    answers.push(message);
    const results = message.content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content, is_error: content === "sunny" }));
    if (results.length) {
      messages.push({ role: "assistant", content: message.content });
      messages.push({ role: "user", content: [...results, { type: "text", text: "Go on." }] });
    }
  }
  return answers;
}

async function loops(way) {
  const found = {};
  for (const model of ["claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-4-6", "swift"])
    found[model] = await toolLoop(way, `${model}-tools`);
  return found;
}

async function searching() {
  const message = await streamed("claude-opus-4-8-web", { tools: search });
  const messages = [...ask, { role: "assistant", content: message.content }, { role: "user", content: "Sure?" }];
  return { streamed: message, again: await create("claude-opus-4-8-text", { messages, tools: search }) };
}

async function structured() {
  const output_config = { format: { type: "json_schema", schema } };
  const parsed = await client.messages.parse(request("claude-opus-4-8-json", { output_config }));
  const message = await streamed("claude-opus-4-8-json", { output_config });
  return { created: JSON.parse(parsed.content[0].text).city, streamed: JSON.parse(message.content[0].text).city };
}

async function beta() {
  const how = request("claude-opus-4-8-text", {
    betas: ["context-management-2025-06-27"],
    context_management: context,
    thinking,
  });
  return {
    created: await client.beta.messages.create(how),
    streamed: await client.beta.messages.stream(how).finalMessage(),
  };
}

async function limits() {
  const { response } = await client.messages.create(request("claude-opus-4-8-text")).withResponse();
  return Object.fromEntries([...response.headers].filter(([name]) => /^(anthropic-|request-id)/.test(name)));
}

const counted = await client.messages.countTokens({
  model: "claude-opus-4-8-text",
  messages: ask,
  tools,
  system: "Be brief.",
});

console.log(
  JSON.stringify({
    text: await both("claude-opus-4-8-text"),
    loop: await loops(create),
    streamed_loop: await loops(streamed),
    search: await searching(),
    structured: await structured(),
    beta: await beta(),
    count: counted.input_tokens,
    limits: await limits(),
    limited: await failing("claude-opus-4-8-limited"),
    unknown: await failing("claude-opus-4-8-text", { hologram: 1 }),
    overflow: await failing("claude-opus-4-8-overflow"),
    late: await raised(() => streamed("claude-opus-4-8-late")),
    cut: await raised(() => streamed("claude-opus-4-8-cut")),
  }),
);
