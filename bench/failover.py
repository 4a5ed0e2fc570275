"""One of two upstreams is killed under load, and comes back: what callers notice.

    python bench/failover.py [--seconds 10] [--callers 20]

Held: no request fails before its answer has begun; once the breaker is open, the slowest hundredth of requests takes at
most 5 ms more than before; within 30 s of the upstream's return the traffic is back. Streams that were cut in their
middle get an `error` event: they are counted, and no failure. Exit code 1 when one of these does not hold.
Needs Linux and gcc. Everything that it starts ends with it.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp

HERE = Path(__file__).parent
BUILD = HERE.parent / ".build" / "bench"
FIRST, SECOND = "one/m", "two/m"
ADDED, BACK = 5.0, 30.0  # milliseconds; seconds
CONFIGURATION = """
server: {{port: {port}}}
logs: {{format: json}}
providers:
  one: {{base_url: 'http://127.0.0.1:{first}/v1', api_key: sk-one}}
  two: {{base_url: 'http://127.0.0.1:{second}/v1', api_key: sk-two}}
models:
  sonnet: [{one}, {two}]
"""


@dataclass
class Phase:
    """What was seen while something held."""

    name: str
    served: Counter[str] = field(default_factory=Counter)  # by target
    whole: list[float] = field(default_factory=list)  # milliseconds of answers that were not streamed
    failed: Counter[str] = field(default_factory=Counter)  # before an answer had begun
    cut: int = 0  # streams that ended with an error event

    @property
    def slowest(self) -> float:
        """Milliseconds that 99 of 100 stay under."""
        return quantiles(self.whole, n=100)[98] if len(self.whole) > 100 else 0.0


class Load:
    """Callers who ask again and again, half of them for streams."""

    def __init__(self, url: str) -> None:
        self.phase = Phase("before")
        self._url = url
        self._over = False

    async def run(self, callers: int) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(self._caller(session, stream=number % 2 == 0) for number in range(callers)))

    def stop(self) -> None:
        self._over = True

    async def _caller(self, session: aiohttp.ClientSession, *, stream: bool) -> None:
        body = {"model": "sonnet", "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        while not self._over:
            phase, began = self.phase, time.perf_counter()
            async with session.post(f"{self._url}/v1/messages", json=body) as answer:
                text = await answer.text()
            if answer.status != 200:
                phase.failed[f"{answer.status} {text[:200]}"] += 1
                continue
            phase.served[answer.headers["x-dragoman-target"]] += 1
            if not stream:
                phase.whole.append((time.perf_counter() - began) * 1000)
            elif "event: message_stop" not in text:
                assert "event: error" in text, text[-300:]
                phase.cut += 1
            await asyncio.sleep(0.005)


async def main() -> int:
    parser = argparse.ArgumentParser(description="Kill one of two upstreams under load.")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of the quiet phases (default 10)")
    parser.add_argument("--callers", type=int, default=20)
    chosen = parser.parse_args()
    ports = {name: free_port() for name in ("port", "first", "second")}
    mock = built_mock()
    started: dict[str, subprocess.Popen[Any]] = {}
    with tempfile.TemporaryDirectory(prefix="dragoman-failover-") as folder:
        place = Path(folder)
        (place / "dragoman.yaml").write_text(CONFIGURATION.format(one=FIRST, two=SECOND, **ports))
        environ = {**{k: os.environ[k] for k in ("PATH", "LANG") if k in os.environ}, "HOME": folder}
        log = (place / "log").open("w")
        try:
            for name in ("first", "second"):
                started[name] = start([mock, str(ports[name])])
                await listening(ports[name])
                await shape(ports[name])
            gateway = [sys.executable, "-m", "dragoman", "serve"]
            started["gateway"] = start(gateway, cwd=place, env=environ, stdout=log, stderr=log)
            await listening(ports["port"])
            phases, back = await drive(ports, started, mock, chosen)
        finally:
            for process in started.values():
                process.send_signal(signal.SIGTERM)
                process.wait(10)
            log.close()
    return report(phases, back)


async def drive(
    ports: dict[str, int], started: dict[str, "subprocess.Popen[Any]"], mock: Path, chosen: argparse.Namespace
) -> tuple[list[Phase], float]:
    """The phases, and the seconds from the upstream's return to the traffic's."""
    load = Load(f"http://127.0.0.1:{ports['port']}")
    asking = asyncio.create_task(load.run(chosen.callers))
    phases = [load.phase]
    await asyncio.sleep(chosen.seconds)
    started["first"].kill()
    started["first"].wait()
    for name, seconds in (("it dies", 3.0), ("without it", chosen.seconds)):
        load.phase = Phase(name)
        phases.append(load.phase)
        await asyncio.sleep(seconds)
    started["first"] = start([mock, str(ports["first"])])
    await listening(ports["first"])
    await shape(ports["first"])
    load.phase = Phase("it is back")
    phases.append(load.phase)
    began = time.perf_counter()
    until = began + 2 * BACK
    while not load.phase.served[FIRST] and time.perf_counter() < until:  # noqa: ASYNC110 - it waits for a count
        await asyncio.sleep(0.05)
    back = time.perf_counter() - began
    load.phase = Phase("after")
    phases.append(load.phase)
    await asyncio.sleep(3.0)
    load.stop()
    await asking
    return phases, back


def report(phases: list[Phase], back: float) -> int:
    before, _, without, _, after = phases
    print(f"{'phase':14}{FIRST:>10}{SECOND:>10}{'failed':>8}{'cut':>6}{'p99 ms':>9}")
    for phase in phases:
        counts = f"{phase.served[FIRST]:10}{phase.served[SECOND]:10}{phase.failed.total():8}{phase.cut:6}"
        print(f"{phase.name:14}{counts}{phase.slowest:9.1f}")
    added = without.slowest - before.slowest
    print(f"added to the slowest hundredth without it: {added:.1f} ms (at most {ADDED:g})")
    print(f"back after {back:.1f} s (at most {BACK:g})")
    failed = sum((phase.failed for phase in phases), Counter[str]())
    for text, count in failed.items():
        print(f"failed {count} times: {text}")
    held = not failed and added <= ADDED and back <= BACK and not without.served[FIRST] and not after.served[SECOND]
    print("held" if held else "NOT HELD")
    return 0 if held else 1


def start(command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[Any]":
    return subprocess.Popen(command, **options)


def built_mock() -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    program, source = BUILD / "mock", HERE / "mock.c"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def shape(port: int) -> None:
    """Short streams with a little time between their events."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/set?events=20&pace=5") as answer,
    ):
        await answer.read()


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
