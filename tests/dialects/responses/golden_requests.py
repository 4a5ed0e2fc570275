"""Goldens of the way there: what each client body of `cases/requests` becomes for a server of this language.

The server is like OpenAI's, the model like gpt-5.5. A case whose name begins with "azure" goes to a deployment there.
`UPDATE_GOLDENS=1` writes them again; read the difference before you commit it.
"""

import json
import os
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dialects.chat.asking import told
from dialects.responses.asking import openai
from dragoman.dialects.responses.request import call
from dragoman.messages.request import decode

CASES = Path(__file__).parent.parent.parent / "cases" / "requests"

OPENAI = replace(openai(), provider="plain", model="plain-model", state_scope="golden")
AZURE = replace(
    OPENAI, base_url="http://127.0.0.1:9/openai", model="deployment", query="api-version=2025-04-01-preview"
)


def cases() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.json") if ".golden" not in path.name)


def translated(case: str) -> dict[str, Any]:
    """The call for a case, in the form of its golden."""
    made = call(decode((CASES / f"{case}.json").read_bytes()), AZURE if case.startswith("azure") else OPENAI)
    return {
        "url": made.url,
        "stream": made.stream,
        "headers": dict(made.headers),
        "body": json.loads(made.body),
        "notes": [list(told(note)) for note in made.notes],
    }


def golden(case: str) -> dict[str, Any]:
    path = CASES / f"{case}.responses.golden.json"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(json.dumps(translated(case), indent=2, ensure_ascii=False) + "\n", "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
