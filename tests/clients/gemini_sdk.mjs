// Runs with the environment of @anthropic-ai/sdk as its working directory; the URL of a gateway in front of Gemini is in
// argv, and JSON: a picture and a PDF in base64. Prints JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "dummy", maxRetries: 0, timeout: 60000 });
const media = JSON.parse(process.argv[3]);
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
const inline = (type, media_type) => ({ type, source: { type: "base64", media_type, data: media[media_type] } });
const image = inline("image", "image/png");
const pdf = inline("document", "application/pdf");

const request = (model, { family = "gemini-3.1-pro-preview", ...more } = {}) => ({
  model: `gemini/${family}-${model}`,
  max_tokens: 2000,
  messages: ask,
  ...more,
});
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

// Two rounds of two calls; the second round's results hold a picture and a PDF, and text stands behind them.
async function toolLoop(way, more) {
  const messages = [{ role: "user", content: "Weather in Rhodes and Kos?" }];
  const answers = [];
  for (const content of ["sunny", [image, { type: "text", text: "a map" }, pdf], ""]) {
    const message = await way("tools", { messages, tools, thinking, ...more });
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

async function searching() {
  const found = await both("web", { tools: search, thinking });
  const messages = [...ask, { role: "assistant", content: found.streamed.content }, { role: "user", content: "Sure?" }];
  return { ...found, again: await create("text", { messages, tools: search, thinking }) };
}

const counted = await client.messages.countTokens({
  model: "gemini/gemini-3.1-pro-preview-text",
  messages: ask,
  tools,
  system: "Be brief.",
});
const look = [{ role: "user", content: [image, pdf, { type: "text", text: "What is it?" }] }];

console.log(
  JSON.stringify({
    text: await both("text"),
    loop: { created: await toolLoop(create), streamed: await toolLoop(streamed) },
    older_loop: await toolLoop(streamed, { family: "gemini-2.5-flash" }),
    thinking: await both("think", { thinking }),
    unasked: await both("think"),
    media: await both("see", { messages: look }),
    structured: await both("json", { output_config: { format: { type: "json_schema", schema } } }),
    search: await searching(),
    stop: await both("count", { stop_sequences: ["five"] }),
    refusal: await both("refuse"),
    blocked: await both("blocked"),
    long: await both("long"),
    hops: await both("hops"),
    empty_once: await both("empty-once"),
    empty: await both("empty"),
    count: counted.input_tokens,
    limited: await failing("limited"),
    overflow: await failing("overflow"),
    unknown: await failing("unknown"),
    malformed: await failing("malformed"),
    late: await raised(() => streamed("late")),
    cut: await raised(() => streamed("cut")),
    unfinished: await raised(() => streamed("unfinished")),
  }),
);
