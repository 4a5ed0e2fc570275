"""A Messages body that is passed on, looked at as the laws about requests need it.

Nothing is translated, so what a caller sent wrong stays as it is: calls without results, results without calls, and
fields that nobody knows. What the laws still say: the same request gives the same bytes, each text stays where it was,
no reasoning becomes visible text, and the turns that two requests share stay the same.
"""

import json
from typing import Any

# Whether a model thinks now depends on the turn: manual thinking goes off in a tool loop that another model began.
OF_THE_TURN = ("messages", "thinking", "context_management")


class AnthropicView:
    """What a body of this language says."""

    def __init__(self, raw: bytes) -> None:
        self.body: dict[str, Any] = json.loads(raw)

    @property
    def items(self) -> list[str]:
        """The conversation, turn by turn, as bytes would compare."""
        return [json.dumps(turn) for turn in self.body["messages"]]

    @property
    def history(self) -> list[str]:
        """The items up to the last one that the model wrote."""
        roles = [turn["role"] for turn in self.body["messages"]]
        return self.items[: len(roles) - roles[::-1].index("assistant")] if "assistant" in roles else []

    @property
    def around(self) -> str:
        """Everything but the conversation."""
        return json.dumps({name: value for name, value in self.body.items() if name not in OF_THE_TURN})

    @property
    def text(self) -> str:
        """All that the model reads of the conversation, but what it wrote as tool arguments, and its thinking."""
        return "\n".join(said for turn in self.body["messages"] for said in texts(turn["content"]))

    def check_pairs(self) -> None:
        """Calls and results are the caller's own: what does not fit together is told by the upstream, in its words."""


def texts(content: Any) -> list[str]:
    """The texts of a turn, of a block or of a result, in order."""
    if isinstance(content, str):
        return [content]
    found = []
    for block in content if isinstance(content, list) else []:
        if block["type"] in ("thinking", "redacted_thinking"):
            continue
        found += [block["text"]] if "text" in block else texts(block.get("content"))
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") == "text":
            found.append(source["data"])
    return found
