"""Goldens of the way there: what each client body of `cases/requests` becomes for a server of this language.

The server is like AI Studio, the model like gemini-3.1-pro; a case whose name begins with "azure" goes to a model whose
thinking is a number of tokens, and whose schemas are in the older form. Both fetch URLs. `UPDATE_GOLDENS=1` writes them
again; read the difference before you commit it.
"""

import json
import os
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dialects.chat.asking import told
from dialects.gemini.targets_gemini import newer, older
from dragoman.dialects.gemini.request import call
from dragoman.messages.request import decode

CASES = Path(__file__).parent.parent.parent / "cases" / "requests"

NEWER = replace(newer(file_urls=True), provider="plain", state_scope="golden")
OLDER = replace(older(schema="openapi", file_urls=True), provider="plain", state_scope="golden")


def cases() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.json") if ".golden" not in path.name)


def translated(case: str) -> dict[str, Any]:
    """The call for a case, in the form of its golden."""
    made = call(decode((CASES / f"{case}.json").read_bytes()), OLDER if case.startswith("azure") else NEWER)
    return {
        "url": made.url,
        "stream": made.stream,
        "headers": dict(made.headers),
        "body": json.loads(made.body),
        "notes": [list(told(note)) for note in made.notes],
    }


def golden(case: str) -> dict[str, Any]:
    path = CASES / f"{case}.gemini.golden.json"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(json.dumps(translated(case), indent=2, ensure_ascii=False) + "\n", "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
