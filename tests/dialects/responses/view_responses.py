"""A Responses body, looked at as the laws about requests need it."""

import json
from typing import Any


class ResponsesView:
    """What a body of this language says, whatever form it is in."""

    def __init__(self, raw: bytes) -> None:
        self.body: dict[str, Any] = json.loads(raw)

    @property
    def items(self) -> list[str]:
        """The conversation, item by item, as bytes would compare."""
        return [json.dumps(item) for item in self.body["input"]]

    @property
    def history(self) -> list[str]:
        """The items up to the last one that the model wrote."""
        written = [number for number, item in enumerate(self.body["input"]) if is_the_models(item)]
        return self.items[: written[-1] + 1] if written else []

    @property
    def around(self) -> str:
        """Everything but the conversation."""
        return json.dumps({name: value for name, value in self.body.items() if name != "input"})

    @property
    def text(self) -> str:
        """All that the model reads of the conversation, but what it wrote as tool arguments."""
        found = []
        for item in self.body["input"]:
            content = item.get("content", item.get("output", ""))
            parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
            found += [part["text"] for part in parts if part["type"] == "input_text"]
        return "\n".join(found)

    def check_pairs(self) -> None:
        """Each call is answered right after the calls of its turn, once, in order; no answer without a call.

        Reasoning stands before an item of the same turn, and nothing else stands between calls and their outputs.
        """
        waiting: list[str] = []
        answering = False
        thinking = False
        for item in self.body["input"]:
            kind = item["type"]
            assert not thinking or is_the_models(item), "reasoning without the item that it led to"
            thinking = kind == "reasoning"
            if kind == "function_call":
                assert not answering, f"no result for {waiting}"
                assert item["call_id"] not in waiting
                waiting.append(item["call_id"])
            elif kind == "function_call_output":
                assert waiting, "a result without a call"
                assert item["call_id"] == waiting.pop(0)
                answering = bool(waiting)
            elif kind == "message":
                assert not waiting, f"no result for {waiting}"
        assert not waiting, f"no result for {waiting}"
        assert not thinking, "reasoning at the end"


def is_the_models(item: dict[str, Any]) -> bool:
    return item["type"] in ("function_call", "reasoning") or item.get("role") == "assistant"
