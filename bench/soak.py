"""Many paced streams for many minutes, with callers that leave and an upstream that fails: is anything lost or left?

    python bench/soak.py [--minutes 10] [--streams 500] [--connections N] [--json FILE]

Four processes: this one, the gateway, an upstream that writes an event each 20 to 100 ms, and callers that check every
stream. One caller in five leaves at a random point; one answer in twenty of the upstream is faulty. Exit code 1 when a
stream was illegal, when the gateway's log tells of a bug, when its memory grew by more than 5 % after the first minute
(or the first half of a shorter run), when sockets stay open, or when nothing came to an end for 20 seconds.
`--connections N` gives the gateway only so many connections to the upstream. Needs Linux.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from processes import environment, family, free_port, resident, wait_for

ROOT = Path(__file__).parent.parent
SEED = 4711
LEAVES, FAULTS = 0.20, 0.05
PACE = (0.02, 0.1)  # seconds between the events of a stream
EVENTS = (20, 80)  # of a stream
GROWTH_GOAL = 1.05  # times the memory of the first minute
STALL_GOAL = 20.0  # seconds in which nothing came to an end
SETTLE = 60.0  # seconds in which sockets must be closed
MODELS = {"chat": "translated", "anthropic": "passed on"}

CONFIG = """
server: {{read_idle: 5, port: {port}}}
logs: {{format: json}}
providers:
  chat: {{dialect: chat, base_url: "http://127.0.0.1:{upstream}/v1", auth: none{connections}}}
  anthropic: {{dialect: anthropic, base_url: "http://127.0.0.1:{upstream}", auth: none{connections}}}
models:
  chat: chat/some-model
  anthropic: anthropic/some-model
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Paced streams, callers that leave, an upstream that fails.")
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--streams", type=int, default=500, help="at the same time (default 500)")
    parser.add_argument("--connections", type=int, help="to the upstream, at most (default: any number)")
    parser.add_argument("--json", type=Path, help="write the report there, too")
    parser.add_argument("--role", choices=["upstream", "callers"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.role == "upstream":
        return uvloop.run(Upstream().serve(chosen.port))
    if chosen.role == "callers":
        return uvloop.run(Callers(chosen.port, chosen.streams).run(chosen.minutes * 60))
    if not sys.platform.startswith("linux"):
        print("The soak needs Linux: it reads /proc.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="dragoman-soak-") as folder:
        report = soak(Path(folder), chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n")
    for problem in report["problems"]:
        print(f"VIOLATION: {problem}")
    print("nothing was violated" if not report["problems"] else "")
    return 1 if report["problems"] else 0


# This process


def soak(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    upstream, port = free_port(), free_port()
    connections = f", connections: {chosen.connections}" if chosen.connections else ""
    config = folder / "dragoman.yaml"
    config.write_text(CONFIG.format(port=port, upstream=upstream, connections=connections))
    role = [sys.executable, __file__, "--streams", str(chosen.streams), "--minutes", str(chosen.minutes)]
    seconds = chosen.minutes * 60
    samples: list[tuple[float, float]] = []
    told: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        mock = stack.enter_context(started([*role, "--role", "upstream", "--port", str(upstream)], folder, "upstream"))
        command = [str(ROOT / ".venv/bin/dragoman"), "serve", "--config", str(config)]
        gateway = stack.enter_context(started(command, folder, "gateway"))
        wait_for(upstream, "/health")
        try:
            wait_for(port, "/health")
        except OSError:
            print((folder / "gateway.log").read_text()[-2000:], file=sys.stderr)
            raise
        pids = family(gateway.pid)
        before = sockets(pids)
        callers = stack.enter_context(started([*role, "--role", "callers", "--port", str(port)], folder, "callers"))
        assert callers.stdout is not None
        reading = threading.Thread(target=lambda lines: told.extend(map(json.loads, lines)), args=(callers.stdout,))
        reading.start()
        watch(callers, pids, seconds, samples, told)
        reading.join(10)
        stop(mock)  # and with it the connections that the gateway keeps for later
        left = settled(pids, before)
        failures = [
            line
            for line in (folder / "gateway.log").read_text("utf-8").splitlines()
            if '"traceback":"' in line or '"message":"uvicorn' in line
        ]
    problems = judged(told, samples, left - before, failures, callers.returncode)
    growth = grown(samples)
    last = told[-1] if told else {}
    print(f"\nmemory: {growth:.3f} times the reference; sockets: {before} before, {left} after; ends: {last}")
    return {
        "minutes": chosen.minutes,
        "streams": chosen.streams,
        "connections": chosen.connections,
        "counts": last,
        "memory_mb": [(round(at, 1), round(size, 1)) for at, size in samples][:: max(1, len(samples) // 120)],
        "growth": round(growth, 4),
        "sockets": {"before": before, "after": left},
        "failures": failures[:10],
        "problems": problems,
    }


def watch(
    callers: "subprocess.Popen[str]",
    pids: list[int],
    seconds: float,
    samples: list[tuple[float, float]],
    told: list[dict[str, Any]],
) -> None:
    """Memory each second, a line each minute (or more often in a short run), until the callers end."""
    begun = time.monotonic()
    often = min(60.0, seconds / 4)
    printed = 0
    while callers.poll() is None:
        now = time.monotonic() - begun
        if now > seconds + SETTLE:
            stop(callers)
            return
        samples.append((now, resident(pids)))
        if now >= (printed + 1) * often:
            printed += 1
            print(f"{now:6.0f} s  {samples[-1][1]:7.1f} MB  {told[-1] if told else ''}", flush=True)
        time.sleep(1)


def judged(
    told: list[dict[str, Any]], samples: list[tuple[float, float]], left: int, failures: list[str], code: int | None
) -> list[str]:
    last = told[-1] if told else {}
    problems = [f"illegal: {example}" for example in last.get("examples", [])]
    if code != 0 or not last:
        problems.append(f"the callers ended with {code}")
    if last.get("illegal"):
        problems.append(f"{last['illegal']} illegal streams")
    if not last.get("whole"):
        problems.append("no stream came to its end")
    if last.get("stall", 0) > STALL_GOAL:
        problems.append(f"nothing came to an end for {last['stall']} s")
    if failures:
        problems.append(f"{len(failures)} failures in the gateway's log: {failures[0][:500]}")
    if grown(samples) > GROWTH_GOAL:
        problems.append(f"memory grew to {grown(samples):.3f} times")
    if left > 0:
        problems.append(f"{left} sockets stayed open")
    return problems


def grown(samples: list[tuple[float, float]]) -> float:
    """Memory of the last samples, in terms of those at the end of the first minute, or at half of a shorter run."""
    if not samples:
        return 0.0
    mark = min(60.0, samples[-1][0] / 2)
    early = [size for at, size in samples if mark - 5 <= at <= mark + 5] or [samples[0][1]]
    return median(size for _, size in samples[-10:]) / median(early)


def ours(log: str) -> list[str]:
    """Lines of the log that tell of a bug: with a traceback, or in the words of a library."""
    failures = [line for line in log.splitlines() if '"event":"failure"' in line]
    return [line for line in failures if '"traceback":"' in line or '"message":"uvicorn' in line]


def sockets(pids: list[int]) -> int:
    count = 0
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                count += entry.readlink().name.startswith("socket:")
    return count


def settled(pids: list[int], before: int) -> int:
    end = time.monotonic() + SETTLE
    while (count := sockets(pids)) > before and time.monotonic() < end:
        time.sleep(0.2)
    return count


@contextlib.contextmanager
def started(command: list[str], folder: Path, name: str) -> Iterator["subprocess.Popen[str]"]:
    """A process and its log; it is stopped at the end. What callers print is read here."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "callers" else log,
            stderr=None if name == "callers" else log,
            cwd=folder,
            env=environment(folder),
            text=True,
        )
        try:
            yield process
        finally:
            stop(process)


def stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The upstream


class Upstream:
    """Streams of words, in Chat Completions and in Messages, each at its own pace. One in twenty is faulty."""

    def __init__(self) -> None:
        self._random = random.Random(SEED)

    async def serve(self, port: int) -> int:
        server = await asyncio.start_server(self._connection, "127.0.0.1", port)
        async with server:
            await server.serve_forever()
        return 0

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                continue
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway closed it
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One call. False when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if head.startswith("get"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            return True
        length = next(line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length))
        begin, word, end = MESSAGES if head.startswith("post /v1/messages") else CHAT
        chance = self._random
        count = chance.randint(*EVENTS)
        fault = chance.choice(list(BROKEN)) if chance.random() < FAULTS else ""
        at = chance.randint(0, count)
        if fault in ("status 429", "status 503", "html"):
            writer.write(BROKEN[fault])
            return True
        if fault == "mute":
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(chunk(begin))
        for number in range(count):
            await asyncio.sleep(chance.uniform(*PACE))
            if fault and number == at:
                if fault == "reset":
                    writer.transport.abort()
                    return False
                if fault == "silence":
                    await reader.read(1)  # until the gateway gives up
                    return False
                writer.write(BROKEN[fault])  # and what was promised never comes
                return False
            writer.write(chunk(word))
            await writer.drain()
        writer.write(chunk(end) + b"0\r\n\r\n")
        return True


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def frame(value: dict[str, Any], *, named: bool) -> bytes:
    name = f"event: {value['type']}\n" if named else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def chat(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return frame({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}, named=False)


START: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "some-model",
    "content": [],
    "stop_reason": None,
    "usage": {"input_tokens": 9, "output_tokens": 1},
}
CHAT = (chat({"role": "assistant", "content": ""}), chat({"content": " word"}), chat({}, "stop") + b"data: [DONE]\n\n")
MESSAGES = (
    frame({"type": "message_start", "message": START}, named=True)
    + frame({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, named=True),
    frame({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}}, named=True),
    frame({"type": "content_block_stop", "index": 0}, named=True)
    + frame({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}, named=True)
    + frame({"type": "message_stop"}, named=True),
)
BROKEN = {
    "status 429": b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}",
    "status 503": b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}",
    "html": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>no</html>",
    "mute": b"",
    "cut": b"",
    "reset": b"",
    "silence": b"",
    "no chunk": b"zz\r\n",
    "no json": chunk(b"data: {nope\n\n"),
    "half a frame": chunk(b'data: {"type": "con'),
}


# The callers

NEXT: dict[str, tuple[str, ...]] = {  # what may follow
    "": ("message_start", "error"),
    "message_start": ("content_block_start", "message_delta", "error"),
    "content_block_start": ("content_block_delta", "content_block_stop", "error"),
    "content_block_delta": ("content_block_delta", "content_block_stop", "error"),
    "content_block_stop": ("content_block_start", "message_delta", "error"),
    "message_delta": ("message_stop", "error"),
    "message_stop": (),
    "error": (),
}


class Illegal(Exception):  # noqa: N818 a verdict
    """What came is no legal answer."""


class Callers:
    """Ask again and again, and check every answer."""

    def __init__(self, port: int, streams: int) -> None:
        self._port = port
        self._streams = streams
        self._counts: Counter[str] = Counter()
        self._examples: list[str] = []
        self._stall = 0.0
        self._last = time.monotonic()

    async def run(self, seconds: float) -> int:
        end = time.monotonic() + seconds
        tasks = [asyncio.create_task(self._caller(number, end)) for number in range(self._streams)]
        telling = asyncio.create_task(self._tell())
        await asyncio.gather(*tasks)
        telling.cancel()
        self._print()
        return 0

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(5)
            self._print()

    def _print(self) -> None:
        told = {**self._counts, "stall": round(self._stall, 1), "examples": self._examples}
        print(json.dumps(told), flush=True)

    async def _caller(self, number: int, end: float) -> None:
        chance = random.Random(SEED + number)
        await asyncio.sleep(chance.uniform(0, 2))
        while time.monotonic() < end:
            model = chance.choice(list(MODELS))
            leaves = chance.uniform(0, 4) if chance.random() < LEAVES else None
            try:
                kind = await self._stream(model, leaves, abort=chance.random() < 0.5)
            except (Illegal, OSError, ValueError, asyncio.IncompleteReadError) as error:
                kind = "illegal"
                self._examples = [*self._examples, f"{type(error).__name__}: {error}"][:5]
            self._counts[kind] += 1
            now = time.monotonic()
            if kind != "left":
                self._stall = max(self._stall, now - self._last)
                self._last = now

    async def _stream(self, model: str, leaves: float | None, *, abort: bool) -> str:
        """`leaves`: seconds until the caller goes away, by a reset when `abort`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            body = json.dumps(
                {"model": model, "max_tokens": 99, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
            )
            writer.write(
                f"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
            )
            try:
                async with asyncio.timeout(leaves):
                    return await read(reader)
            except TimeoutError:
                return "left"
        finally:
            if abort:
                writer.transport.abort()
            writer.close()


async def read(reader: asyncio.StreamReader) -> str:
    """What an answer was: "whole", "error" (a status), "cut" (an error event). Raises Illegal."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status != 200:
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        envelope = json.loads(await reader.readexactly(length))
        if envelope["type"] != "error" or not envelope["error"]["message"]:
            raise Illegal(f"no envelope: {envelope}")
        return "error"
    state, rest = "", b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        *frames, rest = (rest + (await reader.readexactly(size + 2))[:-2]).split(b"\n\n")
        for each in frames:
            state = follow(state, each)
    await reader.readexactly(2)
    if rest or state not in ("message_stop", "error"):
        raise Illegal(f"the stream ended behind {state!r} with {rest[-100:]!r}")
    return "cut" if state == "error" else "whole"


def follow(state: str, event: bytes) -> str:
    if event.startswith(b"data:"):
        return state  # without a name: SDKs skip it
    line, _, told = event.partition(b"\n")
    name = line.removeprefix(b"event: ").decode()
    if name == "ping":
        return state
    if name not in NEXT[state]:
        raise Illegal(f"{name!r} behind {state!r}")
    if not told.startswith(b"data: {") or not told.endswith(b"}"):
        raise Illegal(f"{name} with {told[:200]!r}")
    return name


if __name__ == "__main__":
    sys.exit(main())
