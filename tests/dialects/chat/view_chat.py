"""A Chat Completions body, looked at as the laws about requests need it."""

import json
from typing import Any


class ChatView:
    """What a body of this language says, whatever form it is in."""

    def __init__(self, raw: bytes) -> None:
        self.body: dict[str, Any] = json.loads(raw)

    @property
    def items(self) -> list[str]:
        """The conversation, item by item, as bytes would compare."""
        return [json.dumps(message) for message in self.body["messages"]]

    @property
    def history(self) -> list[str]:
        """The items up to the last one that the model wrote."""
        roles = [message["role"] for message in self.body["messages"]]
        return self.items[: len(roles) - roles[::-1].index("assistant")] if "assistant" in roles else []

    @property
    def around(self) -> str:
        """Everything but the conversation."""
        return json.dumps({name: value for name, value in self.body.items() if name != "messages"})

    @property
    def text(self) -> str:
        """All that the model reads of the conversation, but what it wrote as tool arguments."""
        found = []
        for message in self.body["messages"]:
            content = message.get("content")
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
            found += [part["text"] for part in parts if part["type"] == "text"]
        return "\n".join(found)

    def check_pairs(self) -> None:
        """Each call is answered right after its message, once, in order; no answer without a call."""
        waiting: list[str] = []
        for message in self.body["messages"]:
            if message["role"] == "tool":
                assert waiting, "a result without a call"
                assert message["tool_call_id"] == waiting.pop(0)
                continue
            assert not waiting, f"no result for {waiting}"
            waiting = [call["id"] for call in message.get("tool_calls") or []]
            assert len(set(waiting)) == len(waiting)
