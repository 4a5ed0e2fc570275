"""Golden cases of the way there, for every dialect: what each client body of `cases/requests` becomes.

`UPDATE_GOLDENS=1` writes them again; read the difference before you commit it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dialects.chat.asking import told
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Target
from dragoman.messages.edit import with_model
from dragoman.messages.request import decode

CASES = Path(__file__).parent / "cases" / "requests"


class GoldenCalls:
    """The cases of one dialect. `target`: where a case goes, by its name."""

    def __init__(self, dialect: str, target: Callable[[str], Target]) -> None:
        self._dialect = dialect
        self._target = target

    def cases(self) -> list[str]:
        return sorted(path.stem for path in CASES.glob("*.json") if ".golden" not in path.name)

    def translated(self, case: str) -> dict[str, Any]:
        """The call for a case, in the form of its golden.

        `body` is null where the very same bytes go on, but for the name of the model.
        """
        raw = (CASES / f"{case}.json").read_bytes()
        to = self._target(case)
        made = DIALECTS[self._dialect].call(decode(raw), to)
        return {
            "url": made.url,
            "stream": made.stream,
            "headers": dict(made.headers),
            "body": None if made.body == with_model(raw, to.model) else json.loads(made.body),
            "notes": [list(told(note)) for note in made.notes],
        }

    def golden(self, case: str) -> dict[str, Any]:
        path = CASES / f"{case}.{self._dialect}.golden.json"
        if os.environ.get("UPDATE_GOLDENS"):
            path.write_text(json.dumps(self.translated(case), indent=2, ensure_ascii=False) + "\n", "utf-8")
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found
