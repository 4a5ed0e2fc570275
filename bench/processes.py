"""Processes of a measurement: each on its CPU, with nothing of the user's configured, and what they cost."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / ".build" / "bench"


def where(command: str) -> str | None:
    """nginx is in /usr/sbin, which is not in everybody's PATH."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin")


def built(name: str, *options: str) -> Path:
    """The program of a C file, compiled when it is older than its source."""
    source, program = HERE / f"{name}.c", BUILD / name
    BUILD.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        fresh = program.with_name(f"{name}.{os.getpid()}")  # somebody may be running the old one, or building it, too
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", *options, "-o", fresh, source], check=True)
        fresh.replace(program)
    return program


class CpuTime(NamedTuple):
    """Of all CPUs of this machine since it started, in ticks. `stolen`: what other machines on the same host took."""

    stolen: int
    all: int


def cpu_time() -> CpuTime:
    """https://www.kernel.org/doc/html/latest/filesystems/proc.html, section 1.8"""
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return CpuTime(ticks[7], sum(ticks[:8]))  # behind them come parts of what was counted already


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing configured: no keys, no proxies, no settings of the user."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LANG": "C.UTF-8", **more}


@contextlib.contextmanager
def running(command: list[str], cpus: str, folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process on these CPUs, which is stopped at the end, with those that it started. It logs into a file."""
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(
            ["taskset", "-c", cpus, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment(folder, **variables),
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


def resident(pids: list[int]) -> float:
    """MB in memory of some processes."""
    found = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    found += int(line.split()[1]) / 1024
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
