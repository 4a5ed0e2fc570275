"""The results of a run as tables: what everything costs, and which goals are met. Pure functions of the results."""

from typing import Any

from loads import (
    DIALECT_GOAL,
    IDLE_KILOBYTES,
    IDLE_PERCENT,
    LOADS,
    REST_MEGABYTES,
    START_SECONDS,
    Load,
)

TITLES = {
    "nginx": "nginx",
    "floor": "floor",
    "chat": "chat",
    "responses": "responses",
    "gemini": "gemini",
    "anthropic": "passed on",
    "litellm": "LiteLLM",
}
LATE = "*"
LATE_MEANS = "* could not keep up with the pace: its events came late, several at once, which is cheaper for each."
Table = list[list[str]]


def costs(found: dict[str, Any]) -> Table:
    """CPU microseconds of everybody, and what they are beside nginx, beside the floor, and beside LiteLLM."""
    table = [["CPU, microseconds", *TITLES.values(), "chat/nginx", "chat/floor", "LiteLLM/chat"]]
    for load in LOADS:
        row = found.get("loads", {}).get(load.name)
        if row is None:
            continue
        figures = [figure(row[name]) if name in row else "" for name in TITLES]
        ratios = [ratio(row, "chat", "nginx"), ratio(row, "chat", "floor"), ratio(row, "litellm", "chat")]
        table.append([load.name, *figures, *("" if each is None else number(each) for each in ratios)])
    return table


def goals(found: dict[str, Any]) -> Table:
    """Every goal that was measured: what it is about, the figure, the goal, and whether it is met."""
    table = [["goal", "measured", "goal", ""]]
    for load in LOADS:
        row = found.get("loads", {}).get(load.name)
        if row is not None:
            table += _of_load(load, row)
    for name, row in found.get("idle", {}).items():
        if name == "chat":
            table.append(at_most("1,000 idle streams: KB of memory each", row["kilobytes"], IDLE_KILOBYTES))
            table.append(at_most("1,000 idle streams: % of a core at 1 event/s", row["percent"], IDLE_PERCENT))
    if rest := found.get("rest"):
        table.append(at_most("start to listening: seconds", rest["seconds"], START_SECONDS))
        table.append(at_most("memory at rest: MB", rest["megabytes"], REST_MEGABYTES))
    if workers := found.get("workers"):
        where = "" if workers["alone"] else ", sharing a CPU with the load"
        table.append(at_least(f"two workers: times one{where}", workers["ratio"], workers["goal"]))
    return table


def _of_load(load: Load, row: dict[str, Any]) -> Table:
    table = []
    if load.goal and (found := ratio(row, "chat", "nginx")) is not None:
        table.append(at_most(f"{load.name}: times nginx", found, load.goal))
    if load.passing_goal and (found := ratio(row, "anthropic", "nginx")) is not None:
        table.append(at_most(f"{load.name}, passed on: times nginx", found, load.passing_goal))
    if load.less and (found := ratio(row, "litellm", "chat")) is not None:
        table.append(at_least(f"{load.name}: LiteLLM costs times as much", found, load.less))
    if load.added and "direct" in row:
        name = "first_byte_p50_ms" if load.stream else "latency_p50_ms"
        what = "first event, ms added" if load.stream else "ms added"
        table.append(at_most(f"{load.name}, {what} (p50)", row["chat"][name] - row["direct"][name], load.added))
    for dialect in ("responses", "gemini"):
        found = ratio(row, dialect, "chat")
        if found is not None and found > DIALECT_GOAL:
            table.append(at_most(f"{load.name}, {dialect}: times chat", found, DIALECT_GOAL))
    return table


def delays(found: dict[str, Any]) -> Table:
    """Milliseconds that each adds to a call with one connection, over the upstream itself: p50 and p99."""
    names = [name for name in TITLES if any(name in row for row in found.get("loads", {}).values())]
    table = [["added, milliseconds (p50 / p99)", *(TITLES[name] for name in names)]]
    for load in LOADS:
        row = found.get("loads", {}).get(load.name, {})
        if "direct" not in row:
            continue
        kind = "first_byte" if load.stream else "latency"
        keys = (f"{kind}_p50_ms", f"{kind}_p99_ms")
        cells = []
        for name in names:
            added = [number(row[name][key] - row["direct"][key]) for key in keys] if name in row else []
            cells.append(" / ".join(added))
        table.append([load.name + (", first event" if load.stream else ""), *cells])
    return table


def idle(found: dict[str, Any]) -> Table:
    """What 1,000 streams of one event a second cost everybody."""
    table = [["1,000 idle streams", "KB each", "% of a core", "events/s"]]
    for name, row in found.get("idle", {}).items():
        table.append([TITLES[name], *(number(row[key]) for key in ("kilobytes", "percent", "events_per_second"))])
    return table


def curve(found: dict[str, Any], kind: str, unit: str) -> Table:
    """The points of one curve, a proxy a row."""
    rows = found["curves"][kind]
    table = [[unit, *(f"{amount:,}" for amount, _ in next(iter(rows.values())))]]
    for name, points in rows.items():
        table.append([TITLES[name], *(number(cost) for _, cost in points)])
    return table


def tables(found: dict[str, Any]) -> list[Table]:
    """All that have something in them."""
    if "curves" in found:
        return [curve(found, "streams", "% of a core, by streams"), curve(found, "bodies", "CPU ms, by bytes")]
    return [table for table in (costs(found), delays(found), idle(found), goals(found)) if len(table) > 1]


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    parts = []
    for table in tables(found):
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = []
        for row in table:
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True)),
            ]
            lines.append("  ".join(cells).rstrip())
        parts.append("\n".join(lines))
    if any(LATE in cell for table in tables(found) for row in table for cell in row):
        parts.append(LATE_MEANS)
    if "loads" in found and not any("litellm" in row for row in found["loads"].values()):
        parts.append("LiteLLM was not measured. To install it: make .clients/litellm/.ready; then: --litellm")
    return "\n" + "\n\n".join(parts)


def markdown(table: Table) -> str:
    """For a page; columns in which nothing stands are left out."""
    wanted = [column for column in range(len(table[0])) if any(row[column] for row in table[1:])]
    lines = ["| " + " | ".join(row[column] for column in wanted) + " |" for row in table]
    return "\n".join([lines[0], "|---" + "|---:" * (len(wanted) - 1) + "|", *lines[1:]])


def ratio(row: dict[str, Any], one: str, other: str) -> float | None:
    """How many times as much `one` costs as `other`; None when one of them was not measured."""
    if one not in row or other not in row or not row[other]["cost"]:
        return None
    return float(row[one]["cost"] / row[other]["cost"])


def at_most(what: str, measured: float, goal: float) -> list[str]:
    return [what, number(measured), f"<= {goal:g}", "ok" if measured <= goal else "over"]


def at_least(what: str, measured: float, goal: float) -> list[str]:
    return [what, number(measured), f">= {goal:g}", "ok" if measured >= goal else "under"]


def figure(measured: dict[str, Any]) -> str:
    """The cost, with a star where the events came late."""
    return number(measured["cost"]) + ("" if measured["kept_up"] else LATE)


def number(value: float) -> str:
    """With as many digits as mean something."""
    digits = next((digits for limit, digits in ((100, 0), (10, 1), (1, 2)) if abs(value) >= limit), 3)
    return f"{value:,.{digits}f}"


def rounded(value: Any) -> Any:
    """Results to four digits, so that what is kept stays small."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
