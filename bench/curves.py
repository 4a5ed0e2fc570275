"""How the cost grows: CPU against the number of streams, and against the size of a body."""

from __future__ import annotations

import contextlib
import sys
from statistics import median
from typing import TYPE_CHECKING, Any

import bodies
from loads import SIZES, STREAMS, Load
from processes import fetch
from proxies import floor, gateway, nginx

if TYPE_CHECKING:
    from run import Bench

PACE = 50  # milliseconds between the events of a stream: 20 a second, as from a fast model


def measure(bench: Bench) -> dict[str, Any]:
    """Proxy -> points of both curves: percent of a core by streams, CPU milliseconds by bytes."""
    loads = [
        (count, Load(f"{count} streams", "small_stream", count, pace=PACE, per="event", seconds=3)) for count in STREAMS
    ]
    for size in SIZES:
        bench.files[f"{size}"] = bodies.lines(bench.folder / f"{size}.jsonl", bodies.sized(size))
        loads.append((size, Load(f"{size} bytes", f"{size}", 4)))
    runs: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        folder, mock, command = bench.folder, bench.mock_port, bench.chosen.gateway
        starts = [start(folder, mock) for start in (nginx, floor)]
        starts += [gateway(folder, mock, dialect, command) for dialect in ("chat", "anthropic")]
        peers = [stack.enter_context(each) for each in starts]
        for number in range(bench.rounds):
            for _, load in loads:
                fetch(bench.mock_port, load.setting)
                for proxy in peers:
                    run = bench.measure(proxy, load)
                    cost = run["cpu_seconds"] / run["seconds"] * 100 if load.stream else run["cost"] / 1000
                    found = runs.setdefault(proxy.name, {}).setdefault(load.name, [])
                    if run["kept_up"] or (number + 1 == bench.rounds and not found):
                        found.append(cost)
            print(f"round {number + 1} of {bench.rounds} done", file=sys.stderr)
    return {
        kind: {
            name: [(amount, median(found[load.name])) for amount, load in loads if load.stream == (kind == "streams")]
            for name, found in runs.items()
        }
        for kind in ("streams", "bodies")
    }
