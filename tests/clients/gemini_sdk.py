"""Runs inside the environment of an `anthropic` SDK: scenarios for a gateway (argv[1]) in front of Gemini.

argv[2] is JSON: a picture and a PDF, in base64.
"""

import json
import sys

import anthropic

MEDIA = json.loads(sys.argv[2])
TOOLS = [
    {
        "name": "weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
SEARCH = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ASK = [{"role": "user", "content": "Hello"}]
THINKING = {"type": "enabled", "budget_tokens": 1024}


def image(kind="image", media_type="image/png"):
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": MEDIA[media_type]}}


PDF = image("document", "application/pdf")


def plain(message):
    return message.model_dump(mode="json", exclude_none=True)


def create(client, model, messages=ASK, family="gemini-3.1-pro-preview", **more):
    return client.messages.create(model=f"gemini/{family}-{model}", max_tokens=2000, messages=messages, **more)


def streamed(client, model, messages=ASK, family="gemini-3.1-pro-preview", **more):
    with client.messages.stream(model=f"gemini/{family}-{model}", max_tokens=2000, messages=messages, **more) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_message()


def both(client, model, *arguments, **more):
    kinds, message = streamed(client, model, *arguments, **more)
    return {"created": plain(create(client, model, *arguments, **more)), "streamed": plain(message), "kinds": kinds}


def tool_loop(client, *, stream, **more):
    """Two rounds of two calls; the second round's results hold a picture and a PDF, and text stands behind them."""
    history = [{"role": "user", "content": "Weather in Rhodes and Kos?"}]
    answers = []
    for content in ("sunny", [image(), {"type": "text", "text": "a map"}, PDF], None):
        how = {"tools": TOOLS, "thinking": THINKING, **more}
        message = streamed(client, "tools", history, **how)[1] if stream else create(client, "tools", history, **how)
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
    found = both(client, "web", tools=SEARCH, thinking=THINKING)
    _, message = streamed(client, "web", tools=SEARCH, thinking=THINKING)
    history = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": "Sure?"}]
    return {**found, "again": plain(create(client, "text", history, tools=SEARCH, thinking=THINKING))}


def count(client):
    return client.messages.count_tokens(
        model="gemini/gemini-3.1-pro-preview-text", messages=ASK, tools=TOOLS, system="Be brief."
    ).input_tokens


def raised(work):
    try:
        work()
    except anthropic.APIStatusError as error:
        return {"class": type(error).__name__, "status": error.status_code, "body": error.body}
    except anthropic.APIError as error:
        return {"class": type(error).__name__, "body": getattr(error, "body", None)}
    return {"class": None}


def failing(client, model):
    return {
        "create": raised(lambda: create(client, model)),
        "stream": raised(lambda: streamed(client, model)),
    }


def main():
    client = anthropic.Anthropic(
        base_url=sys.argv[1], api_key="dummy", max_retries=0, timeout=60, _strict_response_validation=True
    )
    form = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    look = [{"role": "user", "content": [image(), PDF, {"type": "text", "text": "What is it?"}]}]
    print(
        json.dumps(
            {
                "version": anthropic.__version__,
                "text": both(client, "text"),
                "loop": {"created": tool_loop(client, stream=False), "streamed": tool_loop(client, stream=True)},
                "older_loop": tool_loop(client, stream=True, family="gemini-2.5-flash"),
                "thinking": both(client, "think", thinking=THINKING),
                "unasked": both(client, "think"),
                "media": both(client, "see", look),
                "structured": both(client, "json", extra_body=form),
                "search": search(client),
                "stop": both(client, "count", stop_sequences=["five"]),
                "refusal": both(client, "refuse"),
                "blocked": both(client, "blocked"),
                "long": both(client, "long"),
                "hops": both(client, "hops"),
                "empty_once": both(client, "empty-once"),
                "empty": both(client, "empty"),
                "count": count(client),
                "limited": failing(client, "limited"),
                "overflow": failing(client, "overflow"),
                "unknown": failing(client, "unknown"),
                "malformed": failing(client, "malformed"),
                "late": raised(lambda: streamed(client, "late")),
                "cut": raised(lambda: streamed(client, "cut")),
                "unfinished": raised(lambda: streamed(client, "unfinished")),
            }
        )
    )


main()
