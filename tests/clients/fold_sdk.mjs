// Runs with the environment of @anthropic-ai/sdk as its working directory; folds the stream of each case in argv.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "dummy", maxRetries: 0 });
const folded = {};
for (const model of process.argv.slice(3)) {
  try {
    const stream = client.messages.stream({ model, max_tokens: 10, messages: [{ role: "user", content: "x" }] });
    folded[model] = { message: await stream.finalMessage() };
  } catch (error) {
    folded[model] = { error: error.message };
  }
}
console.log(JSON.stringify(folded));
