"""Runs inside the environment of an `anthropic` SDK: scenarios for a gateway (argv[1]) in front of OpenAI Responses."""

import json
import sys

import anthropic

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


def plain(message):
    return message.model_dump(mode="json", exclude_none=True)


def create(client, model, messages=ASK, **more):
    return client.messages.create(model=f"openai/gpt-5.5-{model}", max_tokens=2000, messages=messages, **more)


def streamed(client, model, messages=ASK, **more):
    with client.messages.stream(model=f"openai/gpt-5.5-{model}", max_tokens=2000, messages=messages, **more) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_message()


def both(client, model, **more):
    kinds, message = streamed(client, model, **more)
    return {"created": plain(create(client, model, **more)), "streamed": plain(message), "kinds": kinds}


def tool_loop(client):
    history = [{"role": "user", "content": "Weather in Rhodes and Kos?"}]
    _, first = streamed(client, "tools", history, tools=TOOLS, thinking=THINKING)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        for block in first.content
        if block.type == "tool_use"
    ]
    history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = create(client, "tools", history, tools=TOOLS, thinking=THINKING)
    return {"first": plain(first), "second": plain(second)}


def search(client):
    found = both(client, "web", tools=SEARCH, thinking=THINKING)
    _, message = streamed(client, "web", tools=SEARCH, thinking=THINKING)
    history = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": "Sure?"}]
    return {**found, "again": plain(create(client, "text", history, tools=SEARCH, thinking=THINKING))}


def count(client):
    return client.messages.count_tokens(
        model="openai/gpt-5.5-text", messages=ASK, tools=TOOLS, system="Be brief."
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
    print(
        json.dumps(
            {
                "version": anthropic.__version__,
                "text": both(client, "text"),
                "tool_loop": tool_loop(client),
                "thinking": both(client, "think", thinking=THINKING),
                "unasked": both(client, "think"),
                "structured": both(client, "json", extra_body=form),
                "search": search(client),
                "stop": both(client, "count", stop_sequences=["five"]),
                "refusal": both(client, "refuse"),
                "long": both(client, "long"),
                "count": count(client),
                "limited": failing(client, "limited"),
                "overflow": failing(client, "overflow"),
                "late_overflow": failing(client, "late-overflow"),
                "unknown": failing(client, "unknown"),
                "failed": failing(client, "failed"),
                "error_event": raised(lambda: streamed(client, "error-event")),
                "cut": raised(lambda: streamed(client, "cut")),
            }
        )
    )


main()
