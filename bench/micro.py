"""Where the time of a request goes, in this process alone: no sockets, no event loop. Medians in microseconds.

python bench/micro.py
"""

import time
from collections.abc import Callable
from statistics import median

import bodies

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


def cost(work: Callable[[], object], seconds: float = 0.4) -> float:
    """Median microseconds of CPU time of one call."""
    found = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(found) < 5:
        start = time.thread_time_ns()
        work()
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


def main() -> None:
    small, big = bodies.encoded(bodies.small(stream=True)), bodies.encoded(bodies.big(stream=True))
    print(f"{'microseconds':34}{'small':>10}{'234 KB':>10}")
    asked, large = decode(small), decode(big)
    dialect = DIALECTS["chat"]
    for name, work in {
        "decode": decode,
        "estimate.tokens": lambda raw: estimate.tokens((asked if raw is small else large).body),
        "dialect.call, with its estimate": lambda raw: dialect.call(asked if raw is small else large, TARGET),
        "unknown.fields (not in serving)": unknown.fields,
    }.items():
        print(f"{name:34}{cost(lambda: work(small)):10.1f}{cost(lambda: work(big)):10.1f}")  # noqa: B023 - used at once
    pieces = chunks()
    call = cost(lambda: dialect.call(asked, TARGET))
    for name, given in (("event, one a read", pieces), ("event, 8 a read", grouped(pieces, 8))):
        print(f"{name:34}{(cost(lambda: stream(asked, given), 1) - call) / EVENTS:10.2f}")  # noqa: B023 - used at once


def grouped(pieces: list[bytes], size: int) -> list[bytes]:
    return [b"".join(pieces[start : start + size]) for start in range(0, len(pieces), size)]


if __name__ == "__main__":
    main()
