"""Request bodies whose tokens are counted: written and generated texts, in two halves.

The costs of the estimate are fitted on the half "calibration" alone (`tests/corpus/fit.py`). The half "holdout" shares
no text, no words and no seed with it; it told only which scripts the classes of bytes have to keep apart. Everything is
deterministic: `Random.random` gives the same numbers in every version of Python. All texts were written for this
project.
"""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

HALVES = ("calibration", "holdout")
HERE = Path(__file__).parent


class Dice:
    """Choices that depend on the seed alone."""

    def __init__(self, half: str, seed: str) -> None:
        self.random = Random(f"{half}/{seed}").random
        self.words = sections(half)["words"].split()

    def number(self, low: int, high: int) -> int:
        return low + int(self.random() * (high - low + 1))

    def pick(self, choices: list[Any] | tuple[Any, ...] | str) -> Any:
        return choices[int(self.random() * len(choices))]

    def word(self) -> str:
        return str(self.pick(self.words))

    def phrase(self, low: int, high: int) -> str:
        return " ".join(self.word() for _ in range(self.number(low, high)))

    def bytes(self, size: int) -> bytes:
        return bytes(int(self.random() * 256) for _ in range(size))

    def hex(self, digits: int) -> str:
        return "".join(self.pick("0123456789abcdef") for _ in range(digits))

    def shuffled(self, items: list[str]) -> list[str]:
        return sorted(items, key=lambda _: self.random())


def sections(half: str) -> dict[str, str]:
    parts = ("\n" + (HERE / f"{half}.txt").read_text("utf-8")).split("\n=== ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def written(half: str) -> dict[str, str]:
    """The texts of a half by name."""
    return {name: text for name, text in sections(half).items() if name != "words"}


def repeated(dice: Dice, text: str, size: int) -> str:
    """At least `size` characters of the text's paragraphs, in a new order each time."""
    paragraphs = text.strip("\n").split("\n\n")
    found = ""
    while len(found) < size:
        found += "\n\n".join(dice.shuffled(paragraphs)) + "\n\n"
    return found


def log(dice: Dice) -> str:
    forms: tuple[Callable[[], str], ...] = (
        lambda: (
            f"2026-{dice.number(1, 12):02}-{dice.number(1, 28):02}T{dice.number(0, 23):02}:{dice.number(0, 59):02}:"
            f"{dice.number(0, 59):02}.{dice.number(0, 999):03}Z {dice.pick(('INFO', 'WARN', 'DEBUG', 'ERROR'))} "
            f"[{dice.word()}-{dice.number(1, 16)}] {dice.phrase(3, 8)} {dice.word()}={dice.number(1, 99999)} "
            f"request_id={dice.hex(16)}"
        ),
        lambda: (
            f'10.{dice.number(0, 255)}.{dice.number(0, 255)}.{dice.number(1, 254)} - - "GET /{dice.word()}/'
            f'{dice.number(1, 9999)}?{dice.word()}={dice.word()} HTTP/1.1" {dice.pick((200, 200, 304, 404, 500))} '
            f"{dice.number(100, 90000)} {dice.number(1, 2000) / 1000:.3f}"
        ),
        lambda: (
            f"    at {dice.word()}.{dice.word()} (/srv/app/{dice.word()}/{dice.word()}.js:{dice.number(1, 900)}:12)"
        ),
    )
    return "\n".join(dice.pick(forms)() for _ in range(90))


def hexadecimal(dice: Dice) -> str:
    return "\n".join(
        f"{dice.hex(64)}  {dice.word()}/{dice.word()}.{dice.pick(('tar.gz', 'deb', 'so'))}" for _ in range(70)
    )


def dump(dice: Dice) -> str:
    rows = []
    for row in range(70):
        line = dice.bytes(16)
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        rows.append(f"{row * 16:08x}  {line[:8].hex(' ')}  {line[8:].hex(' ')}  |{seen}|")
    return "\n".join(rows)


def encoded(dice: Dice) -> str:
    lines = base64.encodebytes(dice.bytes(3600)).decode()
    return f"-----BEGIN {dice.word().upper()}-----\n{lines}-----END-----\n"


def listing(dice: Dice) -> str:
    return "total 412\n" + "\n".join(
        f"{dice.pick(('drwxr-xr-x', '-rw-r--r--', '-rwxr-xr-x'))} {dice.number(1, 9):>2} root root "
        f"{dice.number(1, 999999):>8} {dice.pick(('Jan', 'Mar', 'Sep', 'Nov'))} {dice.number(1, 28):>2} "
        f"{dice.number(0, 23):02}:{dice.number(0, 59):02} "
        f"{dice.word()}{dice.pick(('_', '-', ''))}{dice.word()}{dice.pick(('.py', '.ts', '.md', '', '.json'))}"
        for _ in range(80)
    )


def matches(dice: Dice) -> str:
    return "\n".join(
        f"src/{dice.word()}/{dice.word()}_{dice.word()}.py:{dice.number(1, 900)}:    {dice.word()}.{dice.word()}"
        f"({dice.word()}={dice.word()}, {dice.word()}_{dice.word()}={dice.number(0, 99)})"
        for _ in range(80)
    )


def table(dice: Dice) -> str:
    head = f"id,{dice.word()},{dice.word()},{dice.word()}_at,{dice.word()}_{dice.word()},uuid\n"
    return head + "\n".join(
        f"{row},{dice.word()},{dice.number(1, 10**6) / 100:.2f},2026-{dice.number(1, 12):02}-{dice.number(1, 28):02},"
        f"{dice.phrase(1, 3)},{dice.hex(8)}-{dice.hex(4)}-{dice.hex(4)}-{dice.hex(4)}-{dice.hex(12)}"
        for row in range(70)
    )


def value(dice: Dice, depth: int) -> Any:
    kind = dice.number(0, 9)
    if depth and kind < 3:
        return {
            f"{dice.word()}{dice.pick(('_id', 'Count', '', '_' + dice.word()))}": value(dice, depth - 1)
            for _ in range(5)
        }
    if depth and kind < 4:
        return [value(dice, depth - 1) for _ in range(dice.number(1, 4))]
    return dice.pick(
        (True, None, dice.number(0, 5000), dice.random() * 100, dice.word(), dice.phrase(2, 9), dice.hex(24))
    )


def json_text(dice: Dice, indent: int | None) -> str:
    rows = [
        {"id": row, dice.word(): value(dice, 3), dice.word(): value(dice, 2), "name": dice.phrase(1, 2)}
        for row in range(40)
    ]
    return json.dumps(rows, indent=indent)


def diff(dice: Dice, text: str) -> str:
    found = f"diff --git a/src/{dice.word()}.x b/src/{dice.word()}.x\nindex {dice.hex(7)}..{dice.hex(7)} 100644\n"
    for place, line in enumerate(repeated(dice, text, 3500).split("\n")):
        if place % 12 == 0:
            found += f"@@ -{place},12 +{place + 2},12 @@\n"
        found += f"{dice.pick('   +-')}{line}\n"
    return found


def numbered(text: str) -> str:
    """As an editor tool shows a file."""
    return "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(text.split("\n"), 1))


def tool(dice: Dice, sentences: list[str]) -> dict[str, Any]:
    def described() -> str:
        return str(dice.pick(sentences))

    properties: dict[str, Any] = {
        dice.word() + dice.pick(("", "_" + dice.word())): dice.pick(
            (
                {"type": "string", "description": described()},
                {"type": "integer", "minimum": 0, "default": dice.number(1, 100), "description": described()},
                {"type": "string", "enum": [dice.word() for _ in range(4)]},
                {"type": "array", "items": {"type": "object", "properties": {dice.word(): {"type": "boolean"}}}},
            )
        )
        for _ in range(dice.number(2, 6))
    }
    return {
        "name": f"{dice.word()}_{dice.word()}",
        "description": " ".join(described() for _ in range(dice.number(1, 5))),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": list(properties)[:1],
            "additionalProperties": False,
        },
    }


def tools(dice: Dice, prose: str, count: int) -> list[dict[str, Any]]:
    sentences = [line.strip() for line in prose.replace("\n", ". ").split(". ") if len(line) > 20]
    return [tool(dice, sentences) for _ in range(count)]


def session(dice: Dice, texts: dict[str, str], rounds: int) -> dict[str, Any]:
    """A coding agent's request: tools, then calls and their results of many kinds."""
    prose = [text for name, text in texts.items() if name.startswith("english")]
    code = [text for name, text in texts.items() if name in CODE]
    results: tuple[Callable[[], str], ...] = (
        lambda: numbered(dice.pick(code)),
        lambda: log(dice)[:3000],
        lambda: matches(dice)[:2000],
        lambda: listing(dice)[:1500],
        lambda: diff(dice, dice.pick(code))[:2500],
        lambda: json_text(dice, dice.pick((None, 2)))[:2500],
        lambda: str(dice.pick(prose)),
    )
    turns: list[dict[str, Any]] = [{"role": "user", "content": str(dice.pick(prose))}]
    for call in range(rounds):
        path = f"/home/{dice.word()}/{dice.word()}/{dice.word()}.py"
        given = dice.pick(
            (
                {"file_path": path, "limit": dice.number(10, 500)},
                {
                    "command": f"grep -rn '{dice.word()}' {path} | head -{dice.number(5, 50)}",
                    "description": dice.phrase(3, 6),
                },
                {"file_path": path, "old_string": dice.pick(code)[:300], "new_string": dice.pick(code)[:400]},
            )
        )
        said = str(dice.pick(prose))[: dice.number(60, 300)]
        name, identity = dice.word(), f"toolu_{dice.hex(20)}"
        turns.append(
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": said, "signature": dice.hex(64)},
                    {"type": "text", "text": said[::-1][:40] if dice.number(0, 30) == 0 else said},
                    {"type": "tool_use", "id": identity, "name": name, "input": given},
                ],
            }
        )
        found = dice.pick(results)()
        content = found if call % 3 else [{"type": "text", "text": found}]
        turns.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": identity, "content": content}]}
        )
    return {
        "system": [{"type": "text", "text": str(dice.pick(prose))}, {"type": "text", "text": str(dice.pick(prose))}],
        "tools": tools(dice, dice.pick(prose), 14),
        "messages": turns,
    }


CODE = frozenset(
    (
        *("python", "typescript", "csharp", "kotlin", "go", "rust", "cplusplus", "sql", "shell", "html", "yaml"),
        *("dockerfile", "javascript", "java", "c", "ruby", "swift", "css", "makefile", "toml"),
    )
)
GENERATED: dict[str, Callable[[Dice], str]] = {
    "log": log,
    "hexadecimal": hexadecimal,
    "dump": dump,
    "base64": encoded,
    "listing": listing,
    "matches": matches,
    "csv": table,
    "json": lambda dice: json_text(dice, None),
    "json_indented": lambda dice: json_text(dice, 2),
}


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def answered(text: str) -> dict[str, Any]:
    """The text as a tool's result, cut into three."""
    third = len(text) // 3
    return {
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": part}]}
            for part in (text[:third], text[third : 2 * third], text[2 * third :])
        ]
    }


def bodies(half: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and Messages body (as decoded JSON) of each request in a half."""
    texts = written(half)
    prose = "\n".join(text for name, text in texts.items() if name.startswith("english"))
    for name, text in texts.items():
        dice = Dice(half, name)
        yield name, said(repeated(dice, text, 5200))
    for name, make in GENERATED.items():
        yield name, answered(make(Dice(half, name)))
    code = [text for name, text in texts.items() if name in CODE]
    for name in ("diff_1", "diff_2", "diff_3"):
        dice = Dice(half, name)
        yield name, answered(diff(dice, dice.pick(code)))
    for name, count in (("tools_small", 6), ("tools_large", 40)):
        yield name, {"tools": tools(Dice(half, name), prose, count), **said("Which tools do you have?")}
    for name, rounds in (("session_1", 4), ("session_2", 12), ("session_3", 30), ("session_4", 60)):
        yield name, session(Dice(half, name), texts, rounds)
    dice = Dice(half, "languages")
    parts = [part for text in texts.values() for part in text.split("\n\n")]
    yield "languages", said("\n\n".join(dice.shuffled(parts)))
