"""Writes the figures of docs/speed.md, and its pictures, from what is kept under bench/results."""

import json
import re
from pathlib import Path
from typing import Any

import pictures
import report
from loads import LOADS

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
SHOWN = ("small request, 50 connections", "234 KB request, 20 connections", "event, 50 streams, each 20 ms")
SHOWN_PROXIES = ("nginx", "floor", "chat", "litellm")


def kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text("utf-8"))
    return found


def files(table: dict[str, Any], curves: dict[str, Any], page: str) -> dict[str, str]:
    """Name of a file of the documentation -> what it must hold."""
    groups = [
        (load.name, {who: row[who]["cost"] for who in SHOWN_PROXIES if who in row})
        for load in LOADS
        if load.name in SHOWN and (row := table["loads"].get(load.name))
    ]
    for name, found in (("table", table), ("curves", curves)):
        page = filled(page, name, section(found))
    streams, sizes = curves["curves"]["streams"], curves["curves"]["bodies"]
    return {
        "speed.md": page,
        "speed.svg": pictures.bars("CPU per request or event, microseconds", groups),
        "speed-streams.svg": pictures.lines("CPU, percent of a core", "streams, 20 events a second each", streams),
        "speed-bodies.svg": pictures.lines("CPU per request, milliseconds", "bytes of the request", sizes),
    }


def section(found: dict[str, Any]) -> str:
    """What was measured, where, and how."""
    machine = found["machine"]
    where = (
        f"`{found['command']}` on {machine['date']}: {machine['processor']}, {machine['cpus']} CPUs, "
        f"{machine['system']}, {machine['python']}; load of the machine {machine['load_before']:.1f} before, "
        f"{machine['load_after']:.1f} after."
    )
    parts = [where, *(report.markdown(table) for table in report.tables(found))]
    if any(report.LATE in part for part in parts[1:]):
        parts.insert(2, "\\" + report.LATE_MEANS)
    return "\n\n".join(parts)


def filled(page: str, name: str, text: str) -> str:
    """The page with new text between `<!-- name -->` and `<!-- /name -->`. Raises ValueError without those."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    found = re.search(re.escape(begin) + ".*?" + re.escape(end), page, re.DOTALL)
    if found is None:
        raise ValueError(f"docs/speed.md has no marks for {name}")
    return f"{page[: found.start()]}{begin}\n{text}\n\n{end}{page[found.end() :]}"


def write() -> list[Path]:
    """Writes them; returns which. Without both kinds of results there is nothing to write yet."""
    try:
        table, curves = kept("table"), kept("curves")
    except FileNotFoundError:
        return []
    found = files(table, curves, (DOCS / "speed.md").read_text("utf-8"))
    for name, text in found.items():
        (DOCS / name).write_text(text, "utf-8")
    return [DOCS / name for name in found]


if __name__ == "__main__":
    write()
