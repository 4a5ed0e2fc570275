"""Where the gateway's time goes, by room of the house: a table, and a flame graph.

    python bench/profiling.py [LOAD] [DIALECT] [--seconds N]

LOAD is a part of a load's name, e.g. "234 KB request, 20" or "saturated"; DIALECT is chat, responses, gemini or
anthropic. Samples of py-spy, by the innermost line of Python: what msgspec or the kernel does counts for the line that
asked for it. Writes .build/profile/<load>-<dialect>.svg.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.sax.saxutils import escape

import bodies
from loads import LOADS, Load
from processes import ROOT, built, fetch, free_port, running, wait_for
from proxies import DIALECTS, LOAD_CPU, gateway

PY_SPY = ROOT / ".build/profile-tools/bin/py-spy"
OUT = ROOT / ".build" / "profile"
RATE = 400  # samples a second
ROOMS = ["messages", "dialects", "providers", "config", "upstream", "routing", "gateway", "telemetry", "server", "cli"]
LIBRARIES = ["uvicorn", "aiohttp", "starlette", "msgspec", "click"]
WIDTH, HIGH = 1400, 17

Stacks = Counter[tuple[str, ...]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Where the time goes, by room of the house.")
    parser.add_argument("load", nargs="?", default="234 KB request, 20", help="a part of the load's name")
    parser.add_argument("dialect", nargs="?", default="chat", choices=DIALECTS)
    parser.add_argument("--seconds", type=float, default=8)
    chosen = parser.parse_args()
    load = next((each for each in LOADS if chosen.load in each.name), None)
    if load is None:
        print("No such load. There are:", *(each.name for each in LOADS), sep="\n  ", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="dragoman-profile-") as name:
        stacks = sampled(Path(name), load, chosen.dialect, chosen.seconds)
    OUT.mkdir(parents=True, exist_ok=True)
    file = OUT / (re.sub(r"\W+", "-", f"{load.name} {chosen.dialect}".lower()) + ".svg")
    file.write_text(flames(f"{load.name}, {chosen.dialect}", stacks))
    print(f"{load.name}, {chosen.dialect}: {stacks.total():,} samples\n")
    print(table("room", stacks, room))
    print(table("function", stacks, str, limit=25))
    print(f"flame graph: {file.relative_to(ROOT)}")
    return 0


def sampled(folder: Path, load: Load, dialect: str, seconds: float) -> Stacks:
    """Stacks of the gateway's thread that serves, outermost frame first, while the load is on."""
    port = free_port()
    files = bodies.write(folder)
    with running([str(built("mock")), str(port)], LOAD_CPU, folder):
        wait_for(port, load.setting)
        with gateway(folder, port, dialect) as proxy:
            fetch(port, load.setting)
            client = ["taskset", "-c", LOAD_CPU, str(built("loadgen")), "-p", str(proxy.port)]
            client += [
                "-c",
                str(load.connections),
                "-d",
                str(seconds + 2),
                "-f",
                str(files[load.body]),
                "-k",
                proxy.key,
            ]
            with subprocess.Popen(client, stdout=subprocess.DEVNULL) as traffic:
                raw = folder / "stacks"
                spy = [str(PY_SPY), "record", "--pid", str(proxy.pids[-1]), "--format", "raw", "--rate", str(RATE)]
                spy += ["--duration", str(max(1, round(seconds))), "--output", str(raw), "--threads", "--nolineno"]
                done = subprocess.run(spy, capture_output=True, text=True, check=False)
                traffic.wait()
    if done.returncode:
        raise SystemExit(f"py-spy failed: {done.stderr[-1000:]}")
    return read(raw.read_text().splitlines())


def read(lines: Iterable[str]) -> Stacks:
    """The stacks in py-spy's raw format, without other threads than the main one."""
    found: Stacks = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if "MainThread" in frames[0]:
            found[tuple(frames[1:])] += int(count)
    return found


def room(frame: str) -> str:
    """The room or library of a frame, as in `feed (dragoman/dialects/chat/answer.py)`."""
    path = frame.rpartition("(")[2].rstrip(")")
    found = re.search(r"dragoman/(\w+)/(?:(\w+)/)?", path)
    if found and found[1] in ROOMS:
        return "/".join(part for part in found.groups() if part)
    if "asyncio/" in path:  # uvloop has no frames of its own
        return "loop and kernel"
    return next((name for name in LIBRARIES if f"{name}/" in path), "the rest")


def table(title: str, stacks: Stacks, name: Callable[[str], str], limit: int = 100) -> str:
    """Percent of the samples whose innermost frame is there, and of those that it is anywhere in."""
    own: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    for stack, count in stacks.items():
        own[name(stack[-1])] += count
        for each in {name(frame) for frame in stack}:
            anywhere[each] += count
    total = stacks.total() or 1
    lines = [f"{title:64}{'own':>7}{'with callees':>14}"]
    for each, count in own.most_common(limit):
        lines.append(f"{each[:63]:64}{count / total:7.1%}{anywhere[each] / total:14.1%}")
    return "\n".join([*lines, ""])


def flames(title: str, stacks: Stacks) -> str:
    """The flame graph as SVG; a frame's full name and share show up under the pointer."""
    total, deepest = stacks.total() or 1, max((len(stack) for stack in stacks), default=0)
    top = HIGH * (deepest + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}">',
        "<style>text{font:11px sans-serif}rect{stroke:#fff}</style>",
        f'<text x="6" y="13">{escape(title)}</text>',
    ]

    def draw(group: list[tuple[tuple[str, ...], int]], depth: int, left: float) -> None:
        below: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for stack, count in group:
            if len(stack) > depth:
                below.setdefault(stack[depth], []).append((stack, count))
        for frame, inside in sorted(below.items()):
            count = sum(each for _, each in inside)
            wide = count / total * WIDTH
            if wide >= 0.6:
                y = top - HIGH * (depth + 1)
                label = escape(frame[: int(wide / 6)]) if wide > 30 else ""
                parts.append(
                    f'<g><title>{escape(frame)}: {count / total:.1%}</title><rect x="{left:.1f}" y="{y}" '
                    f'width="{wide:.1f}" height="{HIGH}" fill="{colour(frame)}"/>'
                    f'<text x="{left + 3:.1f}" y="{y + 12}">{label}</text></g>'
                )
                draw(inside, depth + 1, left)
            left += wide

    draw(list(stacks.items()), 0, 0)
    return "\n".join([*parts, "</svg>", ""])


def colour(frame: str) -> str:
    """One for each room; libraries are grey."""
    name = room(frame).partition("/")[0]
    return f"hsl({ROOMS.index(name) * 37 % 360},65%,72%)" if name in ROOMS else "#d8dde2"


if __name__ == "__main__":
    sys.exit(main())
