"""Goldens of what is passed on: what each client body of `cases/requests` becomes for Claude itself.

The server is like Anthropic's, the model like claude-opus-4-6; a case whose name begins with "azure" goes to one of the
newest models, which takes least. `body` is null where the very same bytes go on, but for the name of the model.
`UPDATE_GOLDENS=1` writes them again; read the difference before you commit it.
"""

import json
import os
from pathlib import Path
from typing import Any

from dialects.anthropic.asking_messages import NEWEST, target
from dialects.chat.asking import told
from dragoman.dialects.anthropic.request import call
from dragoman.messages.edit import with_model
from dragoman.messages.request import decode

CASES = Path(__file__).parent.parent.parent / "cases" / "requests"

FACTS = {
    "max_output": 128_000,
    "thinking_forms": ("adaptive", "enabled", "disabled"),
    "efforts": ("low", "medium", "high", "max"),
    "prefill": False,
    "system_turns": False,
}
CLAUDE = target(facts=FACTS, model="claude-golden")
STRICTEST = target(facts=NEWEST, model="claude-newest")


def cases() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.json") if ".golden" not in path.name)


def translated(case: str) -> dict[str, Any]:
    """The call for a case, in the form of its golden."""
    raw = (CASES / f"{case}.json").read_bytes()
    to = STRICTEST if case.startswith("azure") else CLAUDE
    made = call(decode(raw), to)
    return {
        "url": made.url,
        "stream": made.stream,
        "headers": dict(made.headers),
        "body": None if made.body == with_model(raw, to.model) else json.loads(made.body),
        "notes": [list(told(note)) for note in made.notes],
    }


def golden(case: str) -> dict[str, Any]:
    path = CASES / f"{case}.anthropic.golden.json"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(json.dumps(translated(case), indent=2, ensure_ascii=False) + "\n", "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
