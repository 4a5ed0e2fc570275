"""What a body really costs: the tokens of every text in it, by the o200k_base vocabulary."""

import json
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # it opens its vocabularies in a way that Python 3.11 deprecates
    import bpe_openai

ENCODING = bpe_openai.get_encoding("o200k_base")


def count(text: str) -> int:
    return len(ENCODING.encode(text, disallowed_special=()))


def texts(body: dict[str, Any]) -> list[str]:
    """Every text that the model sees: system, turns, tool inputs as JSON text, results, tools with their schemas."""
    found = [*_content(body.get("system") or [])]
    for turn in body["messages"]:
        found += _content(turn["content"])
    for tool in body.get("tools", []):
        found += [tool["name"], tool["description"], json.dumps(tool["input_schema"])]
    return found


def tokens(body: dict[str, Any]) -> int:
    return sum(map(count, texts(body)))


def _content(content: str | list[dict[str, Any]]) -> list[str]:
    if isinstance(content, str):
        return [content]
    found: list[str] = []
    for block in content:
        if block["type"] == "tool_use":
            found += [block["name"], json.dumps(block["input"])]
        elif block["type"] == "tool_result":
            found += _content(block["content"])
        else:
            found.append(block[block["type"]])  # text, thinking
    return found
