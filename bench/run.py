"""CPU per request and per event of dragoman, beside nginx, the floor of its stack, and LiteLLM, in interleaved rounds.

    python bench/run.py [--quick] [--rounds N] [--only NAME] [--litellm | --no-litellm] [--curves] [--save]

nginx passes bytes on and translates nothing; the goals are multiples of it. The floor (`floor.py`) is a pass-through on
the gateway's own stack, which tells the price of the stack from the price of what the gateway does.

The proxies run on CPU 0, the canned upstream (`mock.c`) and the client (`loadgen.c`) on CPU 1. What counts is the CPU
time of the proxy's processes, not the clock: it stays comparable on a machine that does other things too. Ratios of one
run may be compared with ratios of another; microseconds may not. Needs Linux with two CPUs, gcc, taskset and nginx
(Debian: `apt-get install gcc nginx-light`); LiteLLM is measured when `make clients` has installed it. Writes
.build/bench/<time>.json; `--save` writes bench/results/<date>.json, and docs/speed.md and its pictures from it.
"""

import argparse
import contextlib
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import bodies
import curves
import pages
import report
from loads import IDLE, LOADS, WORKERS, WORKERS_ALONE, WORKERS_CROWDED, Load
from processes import BUILD, HERE, ROOT, built, cpu_time, family, fetch, free_port, resident, running, wait_for, where
from proxies import DIALECTS, GATEWAY, LITELLM, LOAD_CPU, PROXY_CPU, Proxy, floor, gateway, litellm, nginx

TRIES = 3
IN_TIME = 0.93  # of the events of paced streams; when fewer come, several wait for the proxy at once, which is cheaper
STOLEN = 0.02  # of the CPUs' time: when other machines take more of it, they are what is measured
SLOW = 1.0  # seconds that LiteLLM gets to end what was cut off


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU per request and per event, beside nginx and LiteLLM.")
    parser.add_argument("--quick", action="store_true", help="one short round without LiteLLM, about two minutes")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--only", metavar="NAME", help="only loads whose name has this in it")
    parser.add_argument("--litellm", action=argparse.BooleanOptionalAction, help="with the LiteLLM proxy, or without")
    parser.add_argument(
        "--curves", action="store_true", help="the cost against streams and bytes, instead of the table"
    )
    parser.add_argument("--save", action="store_true", help="keep the results, and write docs/speed.md from them")
    parser.add_argument("--gateway", default=GATEWAY, help="command; {config} and {port} are filled in")
    chosen = parser.parse_args()
    if chosen.save and (chosen.quick or chosen.only):
        parser.error("--save keeps whole runs: leave out --quick and --only")
    if missing := lacking():
        print(f"The benchmark needs {missing}.", file=sys.stderr)
        return 1
    if chosen.litellm is None:
        chosen.litellm = not chosen.quick and (LITELLM / "litellm").exists()
    elif chosen.litellm and not (LITELLM / "litellm").exists():
        print("LiteLLM is not here. To install it: make .clients/litellm/.ready", file=sys.stderr)
        return 1
    found: dict[str, Any] = {"command": command(), "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as name:
        Bench(Path(name), chosen).run(found)
    found["machine"]["load_after"] = os.getloadavg()[0]
    print(report.text(found))
    keep(found, save=chosen.save)
    return 0


def command() -> str:
    """What to type for the same run."""
    given = shlex.join(each for each in sys.argv[1:] if each != "--save")
    return f'make bench ARGS="{given}"' if given else "make bench"


def lacking() -> str:
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:
        return "Linux and two CPUs"
    return ", ".join(
        f"{command} (Debian: apt-get install {package})"
        for command, package in (("gcc", "gcc"), ("taskset", "util-linux"), ("nginx", "nginx-light"))
        if not where(command)
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "name" in line
    ]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0] if names else platform.machine(),
        "cpus": os.cpu_count(),
        "system": f"Linux {platform.release().partition('-')[0]}",
        "python": f"CPython {platform.python_version()}",
        "load_before": os.getloadavg()[0],
    }


def keep(found: dict[str, Any], *, save: bool) -> None:
    """Writes what was measured; `save` adds it to what is kept, and writes the page that shows it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    file = BUILD / time.strftime("%Y-%m-%d-%H%M%S.json")
    file.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nall figures: {file.relative_to(ROOT)}")
    if save:
        kept = HERE / "results" / ("curves.json" if "curves" in found else "table.json")
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(report.rounded(found), indent=1) + "\n")
        print(f"kept: {kept.relative_to(ROOT)}, and", *(each.relative_to(ROOT) for each in pages.write()))


class Bench:
    """One run: what it starts, and the loads that it puts on."""

    def __init__(self, folder: Path, chosen: argparse.Namespace) -> None:
        self.folder = folder
        self.chosen = chosen
        self.rounds: int = 1 if chosen.quick else chosen.rounds
        self.pace = 0.5 if chosen.quick else 1.0
        self.loadgen = built("loadgen")
        self.files = bodies.write(folder)
        self.mock_port = free_port()

    def run(self, found: dict[str, Any]) -> None:
        """Measures what was chosen, and puts it into `found`."""
        with running([str(built("mock")), str(self.mock_port)], LOAD_CPU, self.folder) as mock:
            wait_for(self.mock_port, "/")
            direct = Proxy("direct", self.mock_port, [mock.pid])
            if self.chosen.curves:
                found["curves"] = curves.measure(self)
                return
            if self.wanted(IDLE):
                found["idle"] = self.idle()
            found["loads"] = self.table(direct)
            if self.wanted(WORKERS):
                found["workers"] = self.workers()
            if not self.chosen.only:
                found["rest"] = self.at_rest()
        found["rounds"] = self.rounds

    def wanted(self, load: Load) -> bool:
        return not self.chosen.only or self.chosen.only in load.name

    def peers(self, stack: contextlib.ExitStack) -> list[Proxy]:
        """Starts all but LiteLLM."""
        found = [stack.enter_context(start(self.folder, self.mock_port)) for start in (nginx, floor)]
        command = self.chosen.gateway
        return found + [stack.enter_context(gateway(self.folder, self.mock_port, each, command)) for each in DIALECTS]

    def table(self, direct: Proxy) -> dict[str, Any]:
        """Load -> proxy -> what was measured in each lap, as medians."""
        loads = [load for load in LOADS if self.wanted(load)]
        runs: dict[str, dict[str, list[dict[str, Any]]]] = {load.name: {} for load in loads}
        with contextlib.ExitStack() as stack:
            peers = self.peers(stack) if loads else []
            if self.chosen.litellm and any(load.litellm for load in loads):
                peers.append(stack.enter_context(litellm(self.folder, self.mock_port)))
                stack.callback(tell, peers[-1], signal.SIGCONT)  # else it could not end
                self.measure(peers[-1], LOADS[1], 2)  # the first requests cost several times as much
            for number in range(self.rounds):
                for load in loads:
                    fetch(self.mock_port, load.setting)
                    for lap in range(load.laps):
                        for proxy in [*peers, direct] if load.added else peers:
                            slow = proxy.name == "litellm"  # a short lap would be a handful of its requests
                            if slow and (lap or not load.litellm):
                                continue
                            run = self.measure(proxy, load, load.seconds / (1 if slow else load.laps))
                            runs[load.name].setdefault(proxy.name, []).append(run)
                if loads:
                    print(f"round {number + 1} of {self.rounds} done", file=sys.stderr)
        return {name: {proxy: medians(each) for proxy, each in found.items()} for name, found in runs.items()}

    def measure(self, proxy: Proxy, load: Load, seconds: float | None = None) -> dict[str, Any]:
        """One run; when paced events came late, or the CPUs were taken away, up to two more."""
        command = self.command(proxy, load, self.files[load.body], (seconds or load.seconds) * self.pace)
        works_on = proxy.name == "litellm"  # by itself, and for callers who left: it stands still beside the others
        if works_on:
            tell(proxy, signal.SIGCONT)
        for _ in range(TRIES):
            before = cpu_time()
            done = subprocess.run(command, check=True, capture_output=True, timeout=120)
            after = cpu_time()
            time.sleep(SLOW if works_on else 0.2)  # streams that were cut off end in the proxy
            run = counted(proxy, load, done.stdout)
            run["calm"] = after.stolen - before.stolen <= STOLEN * (after.all - before.all)
            if (run["kept_up"] and run["calm"]) or works_on:
                break
        if works_on:
            tell(proxy, signal.SIGSTOP)
        return run

    def command(self, proxy: Proxy, load: Load, body: Path, seconds: float) -> list[str]:
        command = ["taskset", "-c", LOAD_CPU, str(self.loadgen), "-p", str(proxy.port), "-c", str(load.connections)]
        command += ["-d", str(seconds), "-f", str(body), "-k", proxy.key, "-q", ",".join(map(str, proxy.pids))]
        # Paced streams begin spread over time, as they would, and are measured when all have begun.
        ramp = 3.0 if load.connections >= 1000 else 0.4
        command += ["-r", str(ramp), "-w", str(ramp * 1.5)] if load.pace else ["-w", "0.3"]
        return [*command, "-s"] if load.stream else command

    def idle(self) -> dict[str, Any]:
        """Memory and CPU of many slow streams, in proxies that did nothing before."""
        fetch(self.mock_port, IDLE.setting)
        found = {}
        with contextlib.ExitStack() as stack:
            for proxy in self.peers(stack):
                before = resident(proxy.pids)
                command = self.command(proxy, IDLE, self.files[IDLE.body], IDLE.seconds)
                with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
                    time.sleep(4.5 + IDLE.seconds * 0.8)
                    grown = resident(proxy.pids) - before
                    output = client.communicate(timeout=60)[0]
                run = counted(proxy, IDLE, output)
                found[proxy.name] = {
                    "kilobytes": grown * 1024 / IDLE.connections,
                    "percent": run["cpu_seconds"] / run["seconds"] * 100,
                    "events_per_second": run["events"] / run["seconds"],
                }
        return found

    def workers(self) -> dict[str, Any]:
        """Requests per second of two workers beside one."""
        alone = len(os.sched_getaffinity(0)) > 2
        cpus = f"{PROXY_CPU},2" if alone else f"{PROXY_CPU},{LOAD_CPU}"
        rates: dict[int, list[float]] = {1: [], 2: []}
        with contextlib.ExitStack() as stack:
            command = self.chosen.gateway
            both = {
                count: stack.enter_context(
                    gateway(
                        self.folder, self.mock_port, "chat", command, workers=count, cpus=cpus if count > 1 else "0"
                    )
                )
                for count in rates
            }
            for _ in range(self.rounds * 4):  # short ones: throughput feels what else the machine does
                for count, proxy in both.items():
                    run = self.measure(proxy, WORKERS, 0.7)
                    rates[count].append(run["requests"] / run["seconds"])
        one, two = median(rates[1]), median(rates[2])
        goal = WORKERS_ALONE if alone else WORKERS_CROWDED
        return {"one": one, "two": two, "ratio": two / one if one else 0.0, "goal": goal, "alone": alone}

    def at_rest(self) -> dict[str, float]:
        """Seconds from start to the first answer, and MB in memory a second later, with nothing configured."""
        found: list[tuple[float, float]] = []
        for _ in range(self.rounds):
            port = free_port()
            command = self.chosen.gateway.replace("--config {config}", "")
            words = [word.format(port=port) for word in shlex.split(command)]
            with running(words, PROXY_CPU, self.folder) as process:
                seconds = wait_for(port, "/health")
                time.sleep(1)
                found.append((seconds, resident(family(process.pid))))
        return {"seconds": median(one for one, _ in found), "megabytes": median(other for _, other in found)}


def tell(proxy: Proxy, number: signal.Signals) -> None:
    """Send a signal to the proxy's processes."""
    for pid in proxy.pids:
        os.kill(pid, number)


def counted(proxy: Proxy, load: Load, output: bytes) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(output)
    if run["errors"]:
        print(f"{proxy.name}, {load.name}: {run['errors']} errors, {run['error']}", file=sys.stderr)
    run["cost"] = run[f"cpu_{load.per}_us"]
    run["kept_up"] = not load.pace or run["events"] >= IN_TIME * load.connections * run["seconds"] * 1000 / load.pace
    return run


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several laps: those in which anything was answered, and of these those that kept up, and those in which the
    machine was ours, if there are any.

    `low` and `high` are the cheapest and the dearest one.
    """
    runs = [run for run in runs if run["cost"]] or runs
    runs = [run for run in runs if run["kept_up"]] or runs
    runs = [run for run in runs if run["calm"]] or runs
    costs = [run["cost"] for run in runs]
    names = ("latency_p50_ms", "latency_p99_ms", "first_byte_p50_ms", "first_byte_p99_ms")
    return {
        "cost": median(costs),
        "low": min(costs),
        "high": max(costs),
        "errors": sum(run["errors"] for run in runs),
        "kept_up": runs[0]["kept_up"],
        **{name: median(run[name] for run in runs) for name in names},
    }


if __name__ == "__main__":
    sys.exit(main())
