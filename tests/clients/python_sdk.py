"""Runs inside the environment of an `anthropic` SDK: all scenarios against the gateway in argv[1], as JSON."""

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
ASK = [{"role": "user", "content": "Hello"}]


def made(base_url, key="dummy"):
    return anthropic.Anthropic(
        base_url=base_url, api_key=key, max_retries=0, timeout=60, _strict_response_validation=True
    )


def plain(message):
    return message.model_dump(mode="json", exclude_none=True)


def create(client):
    message = client.messages.create(model="sonnet", max_tokens=100, messages=ASK)
    return {"message": plain(message), "request_id": message._request_id}


def tool_loop(client):
    history = [{"role": "user", "content": "Weather in Rhodes and Kos?"}]
    first = client.messages.create(model="lab/tools", max_tokens=100, messages=history, tools=TOOLS)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        for block in first.content
        if block.type == "tool_use"
    ]
    history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = client.messages.create(model="lab/tools", max_tokens=100, messages=history, tools=TOOLS)
    return {"first": plain(first), "second": plain(second)}


def streamed(client, model, **more):
    with client.messages.stream(model=model, max_tokens=2000, messages=ASK, **more) as stream:
        kinds = [event.type for event in stream]
        return {"kinds": kinds, "message": plain(stream.get_final_message())}


def events(client):
    return [event.type for event in client.messages.create(model="sonnet", max_tokens=100, messages=ASK, stream=True)]


def count(client):
    return client.messages.count_tokens(model="sonnet", messages=ASK, tools=TOOLS, system="Be brief.").input_tokens


def models(client):
    listed = [model.id for model in client.models.list(limit=1000)]
    return {"listed": listed, "one": client.models.retrieve(listed[0]).id, "odd": client.models.retrieve("lab/text").id}


def raised(work):
    try:
        work()
    except anthropic.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "body": error.body,
            "request_id": error.response.headers.get("request-id"),
            "retry_after": error.response.headers.get("retry-after"),
        }
    except anthropic.APIError as error:
        return {"class": type(error).__name__, "body": getattr(error, "body", None)}
    return {"class": None}


def failing(client, model):
    def ask():
        client.messages.create(model=model, max_tokens=10, messages=ASK)

    def ask_stream():
        with client.messages.stream(model=model, max_tokens=10, messages=ASK) as stream:
            stream.until_done()

    return {"create": raised(ask), "stream": raised(ask_stream)}


def main():
    client = made(sys.argv[1])
    thinking = {"type": "enabled", "budget_tokens": 1024}
    print(
        json.dumps(
            {
                "version": anthropic.__version__,
                "create": create(client),
                "tool_loop": tool_loop(client),
                "stream_text": streamed(client, "sonnet"),
                "stream_tools": streamed(client, "lab/tools", tools=TOOLS),
                "stream_thinking": streamed(client, "lab/think", thinking=thinking),
                "events": events(client),
                "count": count(client),
                "models": models(client),
                "limited": failing(client, "lab/limited"),
                "overflow": failing(client, "lab/overflow"),
                "unknown": failing(client, "no-such-model"),
                "locked": failing(client, "lab/locked"),
                "broken": failing(client, "lab/broken")["stream"],
                "empty": raised(lambda: client.messages.create(model="sonnet", max_tokens=10, messages=[])),
            }
        )
    )


main()
