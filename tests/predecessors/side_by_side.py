"""The same requests to two servers that speak Messages, and where the shapes of their answers differ.

docs/migrating.md says how to run it against the real API. Models say different things each time, so what is compared is
what a client relies on: statuses, kinds of blocks, the order of events, why it stopped, which counters there are.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from msgspec import Struct

from clients.wire_client import Reply, post

Json = dict[str, Any]

WEATHER: Json = {
    "name": "get_weather",
    "description": "Tells the weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASKED = "What is the weather in Rhodes? Use the tool."
FIELDS = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")
COUNTERS = ("input_tokens", "output_tokens")
LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what the API takes as the id of a call when it comes back
COUNT = "/v1/messages/count_tokens"


class Server(Struct):
    """One side: a base URL without `/v1`, the headers with its key, and the model to ask for."""

    url: str
    headers: Mapping[str, str]
    model: str

    def ask(self, body: Json, path: str = "/v1/messages") -> Reply:
        named = {name.replace("-", "_"): value for name, value in self.headers.items()}
        return post(self.url.rstrip("/") + path, {"model": self.model, **body}, anthropic_version="2023-06-01", **named)


def cases(server: Server) -> Iterator[tuple[str, Json]]:
    """What is asked for -> the shape of the answer."""
    hello: Json = {"max_tokens": 200, "messages": [{"role": "user", "content": "Say hello."}]}
    told: Json = {**hello, "system": [{"type": "text", "text": "You are terse."}], "temperature": 0.5}
    tools: Json = {"max_tokens": 500, "tools": [WEATHER], "messages": [{"role": "user", "content": ASKED}]}
    turns = [
        {"role": "user", "content": "My name is Alexandra."},
        {"role": "assistant", "content": "Hello Alexandra."},
        {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]},
    ]
    for mode in ("", ", streamed"):
        more = {"stream": bool(mode)}
        yield f"a word{mode}", shape(server.ask({**hello, **more}))
        yield f"system prompt in blocks{mode}", shape(server.ask({**told, **more}))
        yield f"several turns{mode}", shape(server.ask({**hello, **more, "messages": turns}))
        first = server.ask({**tools, **more, "tool_choice": {"type": "any"}})
        yield f"a tool is called{mode}", shape(first)
        history = [*tools["messages"], *results(first)]
        yield f"its result is read{mode}", shape(server.ask({**tools, **more, "messages": history}))
        refused = {"messages": hello["messages"], **more}
        yield f"no max_tokens{mode}", shape(server.ask(refused))
        yield f"no turns{mode}", shape(server.ask({**hello, **more, "messages": []}))
    counted = server.ask({"messages": hello["messages"]}, COUNT)
    yield "tokens are counted", {"status": counted.status, "fields": sorted(counted.body)}


def results(reply: Reply) -> list[Json]:
    """The turns that follow when the calls in an answer are carried out."""
    blocks = content(reply)
    calls = [block for block in blocks if block["type"] == "tool_use"]
    told = [{"type": "tool_result", "tool_use_id": call["id"], "content": "Sunny, 28 degrees."} for call in calls]
    return [{"role": "assistant", "content": blocks}, {"role": "user", "content": told}] if calls else []


def content(reply: Reply) -> list[Json]:
    """The blocks of an answer, streamed or not."""
    if not isinstance(reply.body, list):
        return list(reply.body.get("content", []))
    found: list[Json] = []
    for event in reply.body:
        if event["type"] == "content_block_start":
            found.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            _add(found[-1], event["delta"])
    for block in found:
        if "raw" in block:
            block["input"] = json.loads(block.pop("raw") or "{}")
    return found


def _add(block: Json, delta: Json) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "input_json_delta":
            block["raw"] = block.get("raw", "") + delta["partial_json"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]


def shape(reply: Reply) -> Json:
    """What of an answer must be the same on both sides."""
    found: Json = {"status": reply.status, "form": reply.headers.get("content-type", "").partition(";")[0]}
    if reply.status != 200:
        return {**found, "type": reply.body.get("type"), "error": reply.body.get("error", {}).get("type")}
    blocks = content(reply)
    calls = [block for block in blocks if block["type"] == "tool_use"]
    # Some models say a word before they call a tool, and some do not.
    kinds = ["tool_use"] if calls else list(dict.fromkeys(block["type"] for block in blocks))
    found |= {"blocks": kinds, "inputs": sorted({str(sorted(call["input"])) for call in calls})}
    found["ids"] = all(LEGAL.fullmatch(call["id"]) for call in calls)
    if isinstance(reply.body, list):
        return found | _events(reply.body)
    found["missing"] = [name for name in FIELDS if name not in reply.body]
    found["counters"] = [name for name in COUNTERS if isinstance(reply.body["usage"].get(name), int)]
    return found | {name: reply.body.get(name) for name in ("type", "role", "stop_reason", "stop_sequence")}


def _events(events: list[Json]) -> Json:
    """The order of a stream's events, the same however many pieces and blocks there are."""
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    inner = [kind for kind, _ in groupby(kinds) if kind.startswith("content_block")]
    rounds = {tuple(inner[at : at + 3]) for at in range(0, len(inner), 3)}
    last = next(event for event in events if event["type"] == "message_delta")
    return {
        "frame": [kind for kind in kinds if not kind.startswith("content_block")],
        "rounds": sorted(rounds),
        "stop_reason": last["delta"]["stop_reason"],
        "missing": [name for name in FIELDS if name not in events[0]["message"]],
        "counters": [name for name in COUNTERS if name in {**events[0]["message"]["usage"], **last["usage"]}],
    }


def differences(reference: Server, other: Server) -> Iterator[tuple[str, list[str]]]:
    """Each case, and what differs: "field: reference, other"."""
    for (name, wanted), (_, found) in zip(cases(reference), cases(other), strict=True):
        fields = dict.fromkeys([*wanted, *found])
        differing = [each for each in fields if wanted.get(each) != found.get(each)]
        yield name, [f"{each}: {wanted.get(each)}, {found.get(each)}" for each in differing]


def main(environ: Mapping[str, str]) -> int:
    """Print every case. Returns 1 when something differs."""
    reference = Server(
        environ.get("REFERENCE_URL", "https://api.anthropic.com"),
        {"x-api-key": environ["REFERENCE_KEY"]},
        environ.get("REFERENCE_MODEL", "claude-haiku-4-5"),
    )
    other = Server(
        environ.get("GATEWAY_URL", "http://127.0.0.1:8082"),
        {"x-api-key": environ.get("GATEWAY_TOKEN", "dragoman")},
        environ.get("GATEWAY_MODEL", "haiku"),
    )
    failed = False
    for name, differing in differences(reference, other):
        failed = failed or bool(differing)
        print(f"{name}: {'; '.join(differing) or 'the same'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(os.environ))
