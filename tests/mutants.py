"""Bugs that gateways had, put back one at a time: each must turn the laws red. `make mutants` runs this."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 300  # a law that has found nothing by then counts as blind


@dataclass(frozen=True)
class Mutant:
    """A bug: in `file`, `right` becomes `wrong`."""

    name: str
    file: str
    right: str
    wrong: str


MUTANTS = [
    Mutant(
        "lines are split at U+2028",
        "messages/sse.py",
        'for part in whole.split(b"\\n\\n"):',
        'for part in "\\n".join([*whole.decode("utf-8", "replace").splitlines(), ""]).encode().split(b"\\n\\n"):',
    ),
    Mutant(
        "arguments in the chunk that starts a call are dropped",
        "dialects/chat/answer.py",
        "if piece.function is not None and piece.function.arguments:",
        "if piece.function is not None and piece.function.arguments and not piece.function.name:",
    ),
    Mutant(
        "interleaved tool calls are merged",
        "messages/writer.py",
        "        call = self._calls[key]\n",
        "        call = self._call or self._calls[key]\n",
    ),
    Mutant(
        "a truncated stream is a clean stop",
        "dialects/chat/answer.py",
        "            if self._reason is None:\n                self._without_finish()",
        "            if self._reason is None and not self._seen:\n                self._without_finish()",
    ),
    Mutant(
        "arguments that come in one piece at the end of their call are dropped",
        "dialects/responses/items.py",
        "        if rest:\n            self.arguments(item, rest)",
        "        if rest and item.part is not None:\n            self.arguments(item, rest)",
    ),
    Mutant(
        "a stream without its last event is a clean stop",
        "dialects/responses/answer.py",
        "        if not self._done:\n            self._without_end()",
        "        if not self._done:\n            self._end(Response(), 'completed')",
    ),
    Mutant(
        "a text that was streamed is said again by its last event",
        "dialects/responses/items.py",
        'return text[len(said) :] if text.startswith(said) else ""',
        "return text",
    ),
    Mutant(
        "calls that come at the same place are one call",
        "dialects/gemini/telling.py",
        "        key = object()\n",
        '        key = "call"\n',
    ),
    Mutant(
        "a stream without a finish reason is a clean stop",
        "dialects/gemini/answer.py",
        "if self._last is None and self._blocked is None:",
        "if self._last is None and not self._seen:",
    ),
    Mutant(
        "of frames that are read together only the last one is told",
        "dialects/gemini/answer.py",
        "self._writer.texts(texts)",
        "self._writer.texts(texts[-1:])",
    ),
]


def laws(source: Path) -> bool:
    """Whether the laws hold for the code in `source`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": "mutants",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "tests/test_laws.py"]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        timeout=SECONDS,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if run.returncode not in (0, 1):
        sys.exit(f"pytest ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    failed = [line for line in run.stdout.splitlines() if line.startswith("FAILED")]
    print("   " + (failed[0].partition(" - ")[0] if failed else "no law failed"), flush=True)
    return run.returncode == 0


def main() -> int:
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        for mutant in MUTANTS:
            source = Path(folder) / "src"
            shutil.rmtree(source, ignore_errors=True)
            shutil.copytree(ROOT / "src", source)
            file = source / "dragoman" / mutant.file
            text = file.read_text("utf-8")
            if text.count(mutant.right) != 1:
                sys.exit(f"{mutant.file}: the line to change is not there exactly once: {mutant.right!r}")
            file.write_text(text.replace(mutant.right, mutant.wrong), "utf-8")
            print(f"-> {mutant.name}", flush=True)
            if laws(source):
                survivors.append(mutant.name)
    if survivors:
        print(f"The laws do not see: {', '.join(survivors)}.")
        return 1
    print(f"All {len(MUTANTS)} bugs turn the laws red.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
