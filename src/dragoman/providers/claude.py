"""Names of Claude's models, which each platform writes in its own way.

https://platform.claude.com/docs/en/about-claude/models/overview
"""

import re
from typing import Literal

Form = Literal["anthropic", "vertex", "bedrock"]
"""Whose way: `claude-haiku-4-5-20251001`, `claude-haiku-4-5@20251001`, or `anthropic.claude-haiku-4-5`, as it is at the
Messages endpoint of Bedrock. https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html"""

_NAME = re.compile(
    r"(?:(?:[a-z-]{2,8}\.)?anthropic[./])?(?P<model>claude-[^@:]*?)(?:[-@](?P<date>\d{8}))?(?:-v\d+)?(?::\d+)?",
    re.IGNORECASE,
)


def plain(name: str) -> str | None:
    """The name as Anthropic writes it; None for what is none of Claude's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return f"{found['model']}-{found['date']}" if found["date"] else found["model"]


def named(form: Form, name: str) -> str:
    """The name as a platform writes it. What is none of Claude's stays as it is."""
    found = _NAME.fullmatch(name)
    if found is None:
        return name
    model, date = found["model"], found["date"]
    if form == "bedrock":
        return name if name.startswith("anthropic.") else f"anthropic.{model}"
    if form == "vertex":
        return f"{model}@{date}" if date else model
    return f"{model}-{date}" if date else model
