"""Runs inside the environment of an `anthropic` SDK: scenarios for a gateway (argv[1]) in front of Claude.

argv[2] is JSON: a picture and a PDF, in base64.
"""

import json
import sys

import anthropic
from pydantic import BaseModel

MEDIA = json.loads(sys.argv[2])
TOOLS = [
    {
        "name": "weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
SEARCH = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]
ASK = [{"role": "user", "content": "Hello"}]
THINKING = {"type": "adaptive", "display": "summarized"}
CONTEXT = "context-management-2025-06-27"
CLEAR = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}


class City(BaseModel):
    city: str


def media(kind, media_type):
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": MEDIA[media_type]}}


def plain(message):
    return message.model_dump(mode="json", exclude_none=True, warnings=False)


def request(model, messages=ASK, **more):
    return {"model": model, "max_tokens": 2000, "messages": messages, **more}


def streamed(client, model, messages=ASK, **more):
    with client.messages.stream(**request(model, messages, **more)) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_message()


def both(client, model, *arguments, **more):
    kinds, message = streamed(client, model, *arguments, **more)
    created = client.messages.create(**request(model, *arguments, **more))
    return {
        "created": plain(created), "streamed": plain(message), "kinds": kinds, "request_id": created._request_id,
    }  # fmt: skip


def tool_loop(client, model, *, stream):
    """Two rounds of two calls; the second round's results hold a picture and a PDF, and text stands behind them."""
    history = [{"role": "user", "content": "Weather in Rhodes and Kos?"}]
    picture, pdf = media("image", "image/png"), media("document", "application/pdf")
    answers = []
    for content in ("sunny", [picture, {"type": "text", "text": "a map"}, pdf], None):
        how = request(model, history, tools=TOOLS, thinking=THINKING)
        message = streamed(client, **how)[1] if stream else client.messages.create(**how)
        answers.append(plain(message))
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": content, "is_error": content == "sunny"}
            for block in message.content
            if block.type == "tool_use"
        ]
        if results:
            history += [{"role": "assistant", "content": message.content}]
            history += [{"role": "user", "content": [*results, {"type": "text", "text": "Go on."}]}]
    return answers


def search(client):
    _, message = streamed(client, "claude-opus-4-8-web", tools=SEARCH)
    history = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": "Sure?"}]
    again = client.messages.create(**request("claude-opus-4-8-text", history, tools=SEARCH))
    return {"streamed": plain(message), "again": plain(again)}


def parsed(client):
    message = client.messages.parse(**request("claude-opus-4-8-json"), output_format=City)
    with client.messages.stream(**request("claude-opus-4-8-json"), output_format=City) as stream:
        last = stream.get_final_message()
    return {"created": message.parsed_output.city, "streamed": last.parsed_output.city}


def beta(client):
    """Fields that need their beta, in the shapes of the beta types."""
    how = request("claude-opus-4-8-text", betas=[CONTEXT], context_management=CLEAR, thinking=THINKING)
    with client.beta.messages.stream(**how) as stream:
        return {"created": plain(client.beta.messages.create(**how)), "streamed": plain(stream.get_final_message())}


def raised(work):
    try:
        work()
    except anthropic.APIStatusError as error:
        headers = {name: error.response.headers.get(name) for name in ("retry-after", "x-should-retry")}
        return {
            "class": type(error).__name__, "status": error.status_code, "body": error.body,
            "request_id": error.request_id, **headers,
        }  # fmt: skip
    except anthropic.APIError as error:
        return {"class": type(error).__name__, "body": getattr(error, "body", None)}
    return {"class": None}


def failing(client, model, **more):
    return {
        "create": raised(lambda: client.messages.create(**request(model, **more))),
        "stream": raised(lambda: streamed(client, model, **more)),
    }


def limits(client):
    answer = client.messages.with_raw_response.create(**request("claude-opus-4-8-text"))
    return {name: value for name, value in answer.headers.items() if name.startswith(("anthropic-", "request-id"))}


def main():
    client = anthropic.Anthropic(
        base_url=sys.argv[1], api_key="dummy", max_retries=0, timeout=60, _strict_response_validation=True
    )
    models = ("claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-4-6", "swift")
    print(
        json.dumps(
            {
                "version": anthropic.__version__,
                "text": both(client, "claude-opus-4-8-text"),
                "loop": {model: tool_loop(client, f"{model}-tools", stream=False) for model in models},
                "streamed_loop": {model: tool_loop(client, f"{model}-tools", stream=True) for model in models},
                "search": search(client),
                "structured": parsed(client),
                "beta": beta(client),
                "count": client.messages.count_tokens(
                    model="claude-opus-4-8-text", messages=ASK, tools=TOOLS, system="Be brief."
                ).input_tokens,
                "limits": limits(client),
                "limited": failing(client, "claude-opus-4-8-limited"),
                "unknown": failing(client, "claude-opus-4-8-text", extra_body={"hologram": 1}),
                "overflow": failing(client, "claude-opus-4-8-overflow"),
                "late": raised(lambda: streamed(client, "claude-opus-4-8-late")),
                "cut": raised(lambda: streamed(client, "claude-opus-4-8-cut")),
            }
        )
    )


main()
