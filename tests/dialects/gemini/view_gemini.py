"""A body for Gemini, looked at as the laws about requests need it."""

import json
from typing import Any


class GeminiView:
    """What a body of this language says, whatever form it is in."""

    def __init__(self, raw: bytes) -> None:
        self.body: dict[str, Any] = json.loads(raw)

    @property
    def items(self) -> list[str]:
        """The conversation, content by content, as bytes would compare."""
        return [json.dumps(content) for content in self.body["contents"]]

    @property
    def history(self) -> list[str]:
        """The contents up to the last one that the model wrote."""
        written = [number for number, content in enumerate(self.body["contents"]) if content["role"] == "model"]
        return self.items[: written[-1] + 1] if written else []

    @property
    def around(self) -> str:
        """Everything but the conversation."""
        return json.dumps({name: value for name, value in self.body.items() if name != "contents"})

    @property
    def text(self) -> str:
        """All that the model reads of the conversation, but what it wrote as tool arguments."""
        found: list[str] = []
        for content in self.body["contents"]:
            for part in content["parts"]:
                if "text" in part:
                    found.append(part["text"])
                elif "functionResponse" in part:
                    found += part["functionResponse"]["response"].values()
        return "\n".join(found)

    def check_pairs(self) -> None:
        """Roles take turns, the user's is the first and the last; nothing is empty but what is signed.

        The calls of a turn are answered at the head of the next, once each, in order; no answer without a call.
        """
        contents = self.body["contents"]
        assert contents[-1]["role"] == "user"
        waiting: list[tuple[str, str | None]] = []
        for number, content in enumerate(contents):
            assert content["role"] == ("model" if number % 2 else "user")
            assert content["parts"]
            for part in content["parts"]:
                assert part.get("text") != "" or "thoughtSignature" in part, "an empty part"
            answered = named(content, "functionResponse")
            assert answered == waiting
            assert all("functionResponse" in part for part in content["parts"][: len(waiting)])
            waiting = named(content, "functionCall")
            assert content["role"] == "model" or not waiting
            assert len({id_ for _, id_ in waiting if id_ is not None}) == len([i for _, i in waiting if i is not None])
        assert not waiting


def named(content: dict[str, Any], kind: str) -> list[tuple[str, str | None]]:
    """Name and id of the calls, or of the responses, in a content."""
    return [(part[kind]["name"], part[kind].get("id")) for part in content["parts"] if kind in part]
