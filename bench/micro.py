"""Where the time of a request goes, in this process alone: no sockets, no event loop. Medians in microseconds.

python bench/micro.py
"""

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from statistics import median
from typing import Any

import bodies
from msgspec import structs

from dragoman.dialects import DIALECTS
from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.messages import estimate, sse, unknown
from dragoman.messages.request import Request, decode
from dragoman.messages.writer import MessageWriter

TARGET = Target(provider="mock", dialect="chat", base_url="http://127.0.0.1/v1", model="some-model", quirks=Quirks())
EVENTS = 500
CHUNK = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763600000,"model":"some-model",'
    '"service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":%s,"logprobs":null,'
    '"finish_reason":%s}],"usage":null}\n\n'
)


def cost(work: Callable[[Any], object], prepare: Callable[[], Any] = lambda: None, seconds: float = 0.4) -> float:
    """Median microseconds of CPU time of one call.

    `prepare` makes what the call is given, outside of the measured time: strings remember their UTF-8 and their hash,
    so a request that was translated before is cheaper than one that has just come.
    """
    found: list[int] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(found) < 5:
        given = prepare()
        start = time.thread_time_ns()
        work(given)
        found.append(time.thread_time_ns() - start)
    return median(found) / 1000


def chunks() -> list[bytes]:
    """A streamed answer: half text, half the arguments of a call."""
    half = EVENTS // 2
    call = '{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"Write","arguments":""}}]}'
    piece = '{"tool_calls":[{"index":0,"function":{"arguments":%s}}]}'
    deltas = ['{"role":"assistant","content":""}', *['{"content":" model"}'] * half, call, piece % '"{\\"text\\":\\""']
    deltas += [*[piece % '"def f():"'] * (half - 2), piece % '"\\"}"']
    return [
        *[(CHUNK % (delta, "null")).encode() for delta in deltas],
        (CHUNK % ("{}", '"tool_calls"')).encode(),
        b"data: [DONE]\n\n",
    ]


def stream(request: Request, pieces: list[bytes]) -> int:
    """Reads a whole answer, and writes its events; returns their bytes."""
    dialect = DIALECTS["chat"]
    call = dialect.call(request, TARGET)
    reader = dialect.reader(call, MessageWriter(message_id="msg_1", model=request.body.model))
    size = 0
    for piece in pieces:
        size += sum([len(sse.encode(event)) for event in reader.feed(piece)])
    return size + sum([len(sse.encode(event)) for event in reader.close()])


def talks(sessions: int = 20, rounds: int = 15) -> Iterator[bytes]:
    """Requests of conversations that grow by a turn of each side, in turn; their breakpoints move. 198 to 254 KB."""
    around = bodies.big(stream=True)
    mark = {"cache_control": {"type": "ephemeral"}}
    turns: list[list[dict[str, Any]]] = []
    for session in range(sessions):
        writer = bodies.Writer()
        writer.random.seed(session)
        turns.append([turn for number in range(20 + rounds) for turn in writer.round(number)])
    for number in range(20, 20 + rounds):
        for session in range(sessions):
            seen = turns[session][: 2 * number + 1]
            for place in (-1, -3):
                *blocks, last = seen[place]["content"]
                seen[place] = seen[place] | {"content": [*blocks, last | mark]}
            yield bodies.encoded(around | {"messages": seen, "metadata": {"user_id": f"u_session_{session}"}})


def growing(name: str, asked: list[bytes], sessions: int = 20) -> str:
    """Decoding and translating: the first request of each conversation, and then the others."""
    dialect = DIALECTS[name]
    quirks = import_module(f"dragoman.dialects.{name}.quirks").Quirks()
    target = structs.replace(TARGET, dialect=name, quirks=quirks)
    found: list[tuple[int, int]] = []
    for raw in asked:
        given = raw.replace(b"mod1.py", f"{name[:4]}.py".encode())  # no dialect finds what another one left behind
        times = [time.thread_time_ns()]
        request = decode(given)
        times.append(time.thread_time_ns())
        dialect.call(request, target)
        times.append(time.thread_time_ns())
        found.append((times[1] - times[0], times[2] - times[1]))
    figures = [median(part) / 1000 for rows in (found[:sessions], found[sessions:]) for part in zip(*rows, strict=True)]
    return f"{name:14}" + "".join([f"{figure:15.1f}" for figure in figures])


def main() -> None:
    small, big = bodies.encoded(bodies.small(stream=True)), bodies.encoded(bodies.big(stream=True))
    print(f"{'microseconds':34}{'small':>10}{'234 KB':>10}")
    dialect = DIALECTS["chat"]
    for name, work, needs in (
        ("decode", decode, bytes),
        ("estimate.tokens", lambda request: estimate.tokens(request.body), decode),
        ("dialect.call, with its estimate", lambda request: dialect.call(request, TARGET), decode),
        ("unknown.fields (not in serving)", unknown.fields, bytes),
    ):
        figures = [cost(work, lambda: needs(bytes(bytearray(raw)))) for raw in (small, big)]  # noqa: B023 - used at once
        print(f"{name:34}{figures[0]:10.1f}{figures[1]:10.1f}")
    print(f"\n{'growing':14}{'first: decode':>15}{'call':>15}{'then: decode':>15}{'call':>15}")
    requests = list(talks())
    for name in ("chat", "responses", "gemini"):
        print(growing(name, requests))
    print()
    asked = decode(small)
    pieces = chunks()
    call = cost(lambda _: dialect.call(asked, TARGET))
    for name, given in (("event, one a read", pieces), ("event, 8 a read", grouped(pieces, 8))):
        print(f"{name:34}{(cost(lambda _: stream(asked, given), seconds=1) - call) / EVENTS:10.2f}")  # noqa: B023 - used at once


def grouped(pieces: list[bytes], size: int) -> list[bytes]:
    return [b"".join(pieces[start : start + size]) for start in range(0, len(pieces), size)]


if __name__ == "__main__":
    main()
