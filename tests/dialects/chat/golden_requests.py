"""Goldens of the way there: what each client body of `cases/requests` becomes for a plain server of this language.

`UPDATE_GOLDENS=1` writes them again; read the difference before you commit it.
"""

import json
import os
from pathlib import Path
from typing import Any

from dialects.chat.asking import told
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.chat.request import call
from dragoman.dialects.contract import Target
from dragoman.messages.request import decode

CASES = Path(__file__).parent.parent.parent / "cases" / "requests"

PLAIN = Target(provider="plain", dialect="chat", base_url="http://127.0.0.1:9/v1", model="plain-model", quirks=Quirks())


def cases() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.json") if ".golden" not in path.name)


def translated(case: str) -> dict[str, Any]:
    """The call for a case, in the form of its golden."""
    made = call(decode((CASES / f"{case}.json").read_bytes()), PLAIN)
    return {
        "url": made.url,
        "stream": made.stream,
        "headers": dict(made.headers),
        "body": json.loads(made.body),
        "notes": [list(told(note)) for note in made.notes],
    }


def golden(case: str) -> dict[str, Any]:
    path = CASES / f"{case}.chat.golden.json"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(json.dumps(translated(case), indent=2, ensure_ascii=False) + "\n", "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
