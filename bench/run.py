"""CPU per request and per event of the gateway, beside two that translate nothing, in one interleaved run.

    python bench/run.py [--quick] [--rounds N] [--gateway COMMAND]

The two are plain nginx, which the goals are measured in, and the floor (`floor.py`): a pass-through on the gateway's
own stack, which tells the price of the stack from the price of what the gateway does.

The proxies run on CPU 0, the canned upstream (`mock.c`) and the client (`loadgen.c`) on CPU 1. What counts is the CPU
time of the proxy's processes, not the clock: it stays comparable on a machine that does other things too. Ratios of one
run may be compared with ratios of another; microseconds may not. Needs Linux with two CPUs, gcc, taskset and nginx
(Debian: `apt-get install gcc nginx-light`). Writes .build/bench/<time>.json.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import bodies

HERE = Path(__file__).parent
BUILD = HERE.parent / ".build" / "bench"
GATEWAY = shlex.join([str(HERE.parent / ".venv/bin/dragoman"), "serve"]) + " --config {config} --port {port}"
FLOOR = [str(HERE.parent / ".venv/bin/python"), str(HERE / "floor.py")]
PROXY_CPU, LOAD_CPU = "0", "1"
DIALECTS = ("chat", "responses", "gemini", "anthropic")  # the last one is passed on, not translated
DIALECT_GOAL = 1.3  # times the cost of the first
START_GOAL, MEMORY_GOAL = 0.8, 70  # seconds; MB

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 100000000;
    upstream mock {{ server 127.0.0.1:{mock}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""

CONFIG = """
providers:
  mock: {{dialect: {dialect}, base_url: "http://127.0.0.1:{mock}/v1", auth: none}}
models:
  "claude-*": mock/{model}
"""
MODELS = {"anthropic": "claude-sonnet-4-5"}  # the one that is asked for, so that nothing has to change


@dataclass(frozen=True)
class Load:
    """One kind of traffic, and the ratio to nginx that it may cost."""

    name: str
    body: str
    connections: int
    goal: float | None = None
    passing_goal: float | None = None  # where nothing is translated
    pace: int | None = None  # milliseconds between the events of a stream; None: no stream
    measure: str = "cpu_request_us"
    seconds: float = 2.0


LOADS = (
    Load("small request, 1 connection", "small", 1),
    Load("small request, 50 connections", "small", 50, goal=8),
    Load("234 KB request, 20 connections", "big", 20, goal=6, passing_goal=3),
    Load("event, 50 streams, saturated", "small_stream", 50, goal=1, passing_goal=1.2, pace=0, measure="cpu_event_us"),
    Load("event, 50 streams, each 20 ms", "small_stream", 50, pace=20, measure="cpu_event_us", seconds=3),
    Load("event, 250 streams, each 20 ms", "small_stream", 250, goal=2.2, pace=20, measure="cpu_event_us", seconds=3),
)


@dataclass
class Proxy:
    """A running candidate."""

    name: str
    port: int
    pids: list[int]
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def cost(self, load: Load) -> float:
        """Median CPU microseconds of the load."""
        return median(run[load.measure] for run in self.runs[load.name])


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU per request and per event, beside plain nginx.")
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--gateway", default=GATEWAY, help="command; {config} and {port} are filled in")
    chosen = parser.parse_args()
    if missing := lacking():
        print(f"The benchmark needs {missing}.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as name:
        results = bench(Path(name), chosen)
    BUILD.mkdir(parents=True, exist_ok=True)
    file = BUILD / time.strftime("%Y-%m-%d-%H%M%S.json")
    file.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nall figures: {file}")
    return 0


def lacking() -> str:
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:
        return "Linux and two CPUs"
    return ", ".join(
        f"{command} (Debian: apt-get install {package})"
        for command, package in (("gcc", "gcc"), ("taskset", "util-linux"), ("nginx", "nginx-light"))
        if not where(command)
    )


def where(command: str) -> str | None:
    """nginx is in /usr/sbin, which is not in everybody's PATH."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin")


def bench(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    rounds, pace_of_run = (1, 0.5) if chosen.quick else (chosen.rounds, 1.0)
    files = bodies.write(folder)
    mock, loadgen = built("mock"), built("loadgen")
    mock_port = free_port()
    with running([str(mock), str(mock_port)], LOAD_CPU, folder):
        wait_for(mock_port, "/")
        with (
            nginx(folder, mock_port) as plain,
            floor(folder, mock_port) as stack,
            contextlib.ExitStack() as gateways,
        ):
            ours = [gateways.enter_context(gateway(folder, mock_port, chosen.gateway, each)) for each in DIALECTS]
            for number in range(rounds):
                for load in LOADS:
                    if load.pace is not None:
                        fetch(mock_port, f"/set?events=500&pace={load.pace}")
                    for proxy in (plain, stack, *ours):
                        run = measure(loadgen, proxy, load, files[load.body], load.seconds * pace_of_run)
                        proxy.runs.setdefault(load.name, []).append(run)
                        if run["errors"]:
                            print(f"{proxy.name}, {load.name}: {run['errors']} errors, {run['error']}", file=sys.stderr)
                print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    *translating, passing = ours
    show(plain, stack, translating[0])
    compare(translating)
    print(f"{passing.name}: requests and answers are passed on", end="")
    show(plain, stack, passing, passing=True)
    print()
    rest = at_rest(folder, chosen.gateway, 1 if chosen.quick else 3)
    return {
        "at_rest": rest,
        "loads": [asdict(load) for load in LOADS],
        "nginx": plain.runs,
        "floor": stack.runs,
        **{f"dragoman, {each}": proxy.runs for each, proxy in zip(DIALECTS, ours, strict=True)},
    }


def built(name: str) -> Path:
    """The program of a C file, compiled when it is older than its source."""
    source, program = HERE / f"{name}.c", BUILD / name
    BUILD.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source], check=True)
    return program


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """Nothing configured: no keys, no proxies, no settings of the user."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LANG": "C.UTF-8"}


@contextlib.contextmanager
def running(command: list[str], cpu: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one CPU, which is stopped at the end, with those that it started."""
    process = subprocess.Popen(
        ["taskset", "-c", cpu, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr.log").open("ab"),
        cwd=folder,
        env=environment(folder),
    )
    try:
        yield process
    finally:
        pids = family(process.pid)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def fetch(port: int, path: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        answer.read()


def wait_for(port: int, path: str, seconds: float = 20) -> float:
    """Waits until a GET is answered with 200; how long that took, in seconds."""
    start = time.perf_counter()
    while True:
        try:
            fetch(port, path)
        except OSError:
            if time.perf_counter() - start > seconds:
                raise
            time.sleep(0.005)
        else:
            return time.perf_counter() - start


@contextlib.contextmanager
def nginx(folder: Path, mock_port: int) -> Iterator[Proxy]:
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, mock=mock_port, port=port))
    with running([str(where("nginx")), "-p", str(folder), "-c", str(file)], PROXY_CPU, folder) as process:
        wait_for(port, "/")
        yield Proxy("nginx", port, family(process.pid))


@contextlib.contextmanager
def floor(folder: Path, mock_port: int) -> Iterator[Proxy]:
    port = free_port()
    upstream = f"http://127.0.0.1:{mock_port}/v1/messages"
    with running([*FLOOR, "--upstream", upstream, "--port", str(port)], PROXY_CPU, folder) as process:
        wait_for(port, "/")
        yield Proxy("floor", port, family(process.pid))


@contextlib.contextmanager
def gateway(folder: Path, mock_port: int, command: str, dialect: str) -> Iterator[Proxy]:
    port = free_port()
    config = folder / f"{dialect}.yaml"
    model = MODELS.get(dialect, "some-model")
    config.write_text(CONFIG.format(mock=mock_port, dialect=dialect, model=model))
    words = [word.format(config=config, port=port) for word in shlex.split(command)]
    with running(words, PROXY_CPU, folder) as process:
        try:
            wait_for(port, "/health")
        except OSError:
            print((folder / "stderr.log").read_text()[-2000:], file=sys.stderr)
            raise
        yield Proxy(f"dragoman, {dialect}", port, family(process.pid))


def measure(loadgen: Path, proxy: Proxy, load: Load, body: Path, seconds: float) -> dict[str, Any]:
    command = ["taskset", "-c", LOAD_CPU, str(loadgen), "-p", str(proxy.port), "-c", str(load.connections)]
    command += ["-d", str(seconds), "-f", str(body), "-q", ",".join(map(str, proxy.pids))]
    # Paced streams begin spread over time, as they would, and are measured when all have begun.
    command += ["-r", "0.4", "-w", "0.6"] if load.pace else ["-w", "0.3"]
    command += ["-s"] if load.pace is not None else []
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    time.sleep(0.2)  # streams that were cut off end in the proxy
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def show(plain: Proxy, stack: Proxy, ours: Proxy, *, passing: bool = False) -> None:
    """`passing`: nothing is translated, for which there are goals of their own."""
    head = f"{'nginx':>9}{'floor':>9}{'dragoman':>10}{'/nginx':>8}{'/floor':>8}{'goal':>6}"
    print(f"\n{'CPU, microseconds (median)':34}{head}")
    for load in LOADS:
        one, two, three = plain.cost(load), stack.cost(load), ours.cost(load)
        ratio = three / one if one else 0.0
        wanted = load.passing_goal if passing else load.goal
        goal = f"{wanted:.1f}" if wanted else ""
        print(
            f"{load.name:34}{one:9.1f}{two:9.1f}{three:10.1f}{ratio:8.1f}{three / two if two else 0.0:8.1f}{goal:>6}"
            f"{'  over' if wanted and ratio > wanted else ''}"
        )


def compare(gateways: list[Proxy]) -> None:
    """What the other languages cost beside the first."""
    first, *others = gateways
    for proxy in others:
        print(f"\n{proxy.name:34}{'':>9}{'':>9}{'':>10}{'/' + DIALECTS[0]:>8}{'':>8}{'goal':>6}")
        for load in LOADS:
            ratio = proxy.cost(load) / first.cost(load) if first.cost(load) else 0.0
            over = "  over" if ratio > DIALECT_GOAL else ""
            print(f"{load.name:34}{'':>9}{'':>9}{proxy.cost(load):10.1f}{ratio:8.2f}{'':>8}{DIALECT_GOAL:>6}{over}")
    print()


def at_rest(folder: Path, command: str, times: int) -> dict[str, float]:
    """Seconds from start to the first answer, and MB in memory a second later, with nothing configured."""
    found: list[tuple[float, float]] = []
    for _ in range(times):
        port = free_port()
        words = [word.format(port=port) for word in shlex.split(command.replace("--config {config}", ""))]
        with running(words, PROXY_CPU, folder) as process:
            seconds = wait_for(port, "/health")
            time.sleep(1)
            found.append((seconds, sum(map(resident, family(process.pid)))))
    rest = {"start_seconds": median(one for one, _ in found), "resident_mb": median(other for _, other in found)}
    print(f"{'start to listening, seconds':44}{rest['start_seconds']:9.2f}{'':8}{START_GOAL:8.1f}")
    print(f"{'memory at rest, MB':44}{rest['resident_mb']:9.1f}{'':8}{MEMORY_GOAL:8.1f}")
    return rest


def resident(pid: int) -> float:
    """MB in memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
