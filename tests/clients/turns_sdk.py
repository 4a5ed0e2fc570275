"""Runs inside the environment of an `anthropic` SDK: one conversation, each of whose turns may go somewhere else.

argv[1] is JSON: `turns` of {url, model, say, stream, interrupted}, and `more`, which every request has. A tool answers
what its input says under "answer"; in a turn that is interrupted it does not run. Prints the version and the answers.
"""

import json
import sys

import anthropic

plan = json.loads(sys.argv[1])
history = []
answers = []


def ask(turn, number):
    client = anthropic.Anthropic(base_url=turn["url"], api_key="dummy", max_retries=0, timeout=60)
    request = {"model": turn["model"], "max_tokens": 8000, "messages": history, **plan["more"]}
    if not turn.get("stream", number % 2):
        return client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        return stream.get_final_message()


for number, turn in enumerate(plan["turns"]):
    if "say" in turn:
        history.append({"role": "user", "content": turn["say"]})
    message = ask(turn, number)
    answers.append(message.model_dump(mode="json", exclude_none=True))
    history.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": block.input["answer"]}
        for block in message.content
        if block.type == "tool_use"
    ]
    if results and not turn.get("interrupted"):
        history.append({"role": "user", "content": results})

print(json.dumps({"version": anthropic.__version__, "answers": answers}))
