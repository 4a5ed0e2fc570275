"""Scripts that read as transcripts, played against the real gateway with an upstream in memory.

    await play(
        Playbook() >> Ask() << Called("lab/small") >> Head(200) >> Said("text Hi") << Saw(*BEGIN, "'Hi'")
    )

`>>` goes into the gateway: what the caller asks, what the upstream answers. `<<` comes out of it: calls to the
upstream, and what the caller sees. A step that comes out is waited for; nothing is waited for by sleeping.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self

from msgspec import structs

from dragoman.config.settings import Server
from dragoman.dialects.contract import Target
from dragoman.gateway.gateway import Gateway
from dragoman.gateway.health import Change
from dragoman.gateway.record import Record
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.messages.request import Request
from dragoman.routing.route import Group, Route
from gateway.lines import Lines, target
from gateway.relay import Relay

PATIENCE = 5.0  # seconds until a step that does not come fails the test
DIALECTS = {"lines": Lines(), "relay": Relay()}
MODEL = "claude-test"


# What goes in


@dataclass
class Ask:
    """The caller's request. More fields of the body by name."""

    stream: bool = True
    fields: dict[str, Any] = field(default_factory=dict)
    caller: tuple[tuple[str, str], ...] = ()  # headers with the caller's own credentials
    session: str = "session"


@dataclass
class Head:
    """Status and headers of the upstream's answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Said:
    """Lines of the upstream's answer, in one read."""

    lines: tuple[str, ...]

    def __init__(self, *lines: str) -> None:
        self.lines = lines


@dataclass
class Bytes:
    """Bytes of the upstream's answer, in one read."""

    chunk: bytes


class End:
    """The end of the upstream's bytes."""


class Cut:
    """The upstream's connection breaks."""


@dataclass
class Refused:
    """No connection, or no answer on it."""

    error: ApiError = field(default_factory=lambda: ApiError("unreachable", "Cannot connect."))


class Leave:
    """The caller goes away."""


class Stall:
    """The caller stops reading."""


class Resume:
    """The caller reads again."""


class Hang:
    """The caller's connection breaks: the next write raises."""


class Quiet:
    """Nothing happens until everybody waits for somebody else."""


# What comes out


@dataclass
class Called:
    """A call to the upstream, by "provider/model", its body, and the key or token that signs it."""

    target: str = "lab/small"
    body: str | None = None
    key: str | None = None  # by default the target's key; "any" is any


@dataclass
class Saw:
    """Frames that the caller got, in short form. Pings count only where they are named."""

    frames: tuple[str, ...]

    def __init__(self, *frames: str) -> None:
        self.frames = frames


@dataclass
class Status:
    """A real HTTP status with an error body."""

    status: int
    kind: str
    words: str = ""


class Opened:
    """Status 200 and headers, before there is any content."""


class Over:
    """The body of the stream ended."""


@dataclass
class Got:
    """The whole Message: text of its first block, and its stop reason."""

    text: str
    stop_reason: str = "end_turn"


@dataclass
class Whole:
    """The bytes of a whole answer."""

    body: bytes


class Closed:
    """The upstream's connection was closed before its answer ended."""


class Released:
    """The upstream's answer is over, or may finish: its connection is kept."""


Step = object


class KeySigner:
    """Signs with the name of the target's key."""

    def headers(self, target: Target) -> Sequence[tuple[str, str]] | None:
        return [("authorization", f"Bearer {target.key}")]

    async def fetch(self, target: Target) -> Sequence[tuple[str, str]]:
        raise AssertionError(f"{target.key} is no token")

    def refused(self, _target: Target, _sent: Sequence[tuple[str, str]]) -> bool:
        return False


class Playbook:
    """A list of steps. See the module."""

    def __init__(
        self,
        *targets: Target,
        dialects: Mapping[str, Any] = DIALECTS,
        mended: "Playbook | None" = None,
        watch: Callable[[Record], None] | None = None,
        signer: KeySigner | None = None,
        groups: tuple[Group, ...] = (),
        overflow: tuple[Group, ...] = (),
        clock: Callable[[], float] = monotonic,
        **settings: Any,
    ) -> None:
        """`mended`: an earlier playbook, whose gateway is used again. `groups`, `overflow`: of the route."""
        self.steps: list[tuple[str, Step]] = []
        self.records: list[Record] = []
        self.answers: list[MemoryAnswer] = []
        self.calls: asyncio.Queue[Sent] = asyncio.Queue()
        self.seen: asyncio.Queue[Step | str] = asyncio.Queue()
        self.current: Sent | None = None
        self.sent: list[Sent] = []
        self.headers: tuple[tuple[str, str], ...] = ()  # of the answer, for the caller
        self.task: asyncio.Task[None] | None = None
        self.reading = asyncio.Event()
        self.reading.set()
        self.broken = False
        self.sends: list[bytes] = []
        self.targets = targets or (target(),)
        self.groups = groups
        self.overflow = overflow
        self.changes: list[Change] = []
        if mended is not None:
            self.gateway = mended.gateway
            self.upstream = mended.upstream
            self.upstream.playbook = self
            return
        self.upstream = MemoryUpstream(self)
        ids = itertools.count(1)
        self.gateway = Gateway(
            router=self,
            dialects=dialects,
            upstream=self.upstream,
            signer=signer or KeySigner(),
            settings=structs.replace(Server(), **settings),
            watch=watch or self.watch,
            new_id=lambda: f"{next(ids):06d}",
            clock=clock,
            tell=self.hear,
        )

    def __rshift__(self, step: Step) -> Self:
        self.steps.append((">>", step))
        return self

    def __lshift__(self, step: Step) -> Self:
        self.steps.append(("<<", step))
        return self

    def route(self, name: str, *, thinking: bool = False) -> Route:
        if name == "nobody":
            raise ApiError("not_found", "No such model.")
        script = self.upstream.playbook
        return Route(
            requested=name,
            targets=script.targets,
            steps=("test",),
            groups=script.groups,
            overflow=script.overflow,
            notes=(Note("changed", "route.note"),),
        )

    def hear(self, change: Change) -> None:
        self.upstream.playbook.changes.append(change)

    def watch(self, record: Record) -> None:
        self.upstream.playbook.records.append(record)

    @property
    def record(self) -> Record:
        assert len(self.records) == 1
        return self.records[0]


@dataclass
class Sent:
    """A call that the upstream got, and the place for its answer."""

    url: str
    headers: dict[str, str]
    body: str
    answer: "asyncio.Future[MemoryAnswer]"
    cancelled: bool = False


class MemoryUpstream:
    """An upstream whose answers are steps of a playbook."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook

    async def send(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, public: bool = False
    ) -> "MemoryAnswer":
        assert method == "POST"
        sent = Sent(url, dict(headers), body.decode(), asyncio.get_running_loop().create_future())
        self.playbook.calls.put_nowait(sent)
        self.playbook.sent.append(sent)
        try:
            answer = await sent.answer
        except asyncio.CancelledError:
            sent.cancelled = True
            raise
        self.playbook.answers.append(answer)
        return answer


class MemoryAnswer:
    """An answer that is said step by step."""

    def __init__(self, head: Head) -> None:
        self.status = head.status
        self.headers = head.headers
        self.waiting: asyncio.Queue[bytes | ApiError] = asyncio.Queue()
        self.over = False
        self.fate = asyncio.Event()
        self.closed = self.released = False

    async def read(self) -> bytes:
        if self.over:
            return b""
        chunk = await self.waiting.get()
        if isinstance(chunk, ApiError):
            self.over = True
            raise chunk
        self.over = chunk == b""
        return chunk

    def close(self) -> None:
        if not self.over and not self.released:
            self.closed = True
            self.waiting.put_nowait(ApiError("unreachable", "The connection was closed."))
        self.over = True
        self.fate.set()

    def release(self) -> None:
        if not self.over:
            self.released = True
        self.over = True
        self.fate.set()


async def play(playbook: Playbook) -> Playbook:
    """Run every step, then let the caller's side come to its end. Returns the playbook."""
    done: list[str] = []
    try:
        for direction, step in playbook.steps:
            done.append(f"{direction} {step if hasattr(step, '__dataclass_fields__') else type(step).__name__}")
            async with asyncio.timeout(PATIENCE):
                await (_in if direction == ">>" else _out)(playbook, step)
    except TimeoutError:
        waiting = [str(item) for item in playbook.seen._queue]  # type: ignore[attr-defined]
        raise AssertionError("\n".join([*done, f"... never came; seen instead: {waiting}"])) from None
    finally:
        if playbook.task is not None:
            ended = playbook.seen.empty()
            playbook.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playbook.task
            assert ended, f"the caller saw more: {playbook.seen}"
    return playbook


async def _in(playbook: Playbook, step: Step) -> None:
    match step:
        case Head():
            assert playbook.current is not None
            playbook.current.answer.set_result(MemoryAnswer(step))
            while not playbook.answers or playbook.answers[-1] is not playbook.current.answer.result():
                await asyncio.sleep(0)
        case Refused():
            assert playbook.current is not None
            playbook.current.answer.set_exception(step.error)
        case Said():
            playbook.answers[-1].waiting.put_nowait("".join(f"{line}\n" for line in step.lines).encode())
        case Bytes():
            playbook.answers[-1].waiting.put_nowait(step.chunk)
        case End():
            playbook.answers[-1].waiting.put_nowait(b"")
        case Cut():
            playbook.answers[-1].waiting.put_nowait(ApiError("truncated", "The connection broke."))
        case _:
            await _caller_in(playbook, step)


async def _caller_in(playbook: Playbook, step: Step) -> None:
    match step:
        case Ask():
            playbook.task = asyncio.create_task(_caller(playbook, step))
        case Leave():
            assert playbook.task is not None
            playbook.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playbook.task
        case Stall():
            playbook.reading.clear()
        case Resume():
            playbook.reading.set()
        case Hang():
            playbook.broken = True
        case Quiet():
            for _ in range(20):
                await asyncio.sleep(0)
        case _:
            raise TypeError(step)


async def _out(playbook: Playbook, step: Step) -> None:
    match step:
        case Called():
            sent = playbook.current = await playbook.calls.get()
            provider, model = step.target.split("/")
            assert sent.url.startswith(f"http://{provider}.test/"), sent.url
            assert step.key == "any" or sent.headers["authorization"] == f"Bearer {step.key or provider.upper()}"
            assert (json.loads(sent.body)["model"] if sent.body.startswith("{") else sent.body.split()[0]) == model
            assert step.body is None or sent.body == step.body
        case Saw():
            for frame in step.frames:
                found = await playbook.seen.get()
                while found == "ping" and frame != "ping":
                    found = await playbook.seen.get()
                assert found == frame, f"{found!r} instead of {frame!r}"
        case Status():
            found = await playbook.seen.get()
            assert isinstance(found, ApiError), found
            assert (found.status, found.kind) == (step.status, step.kind)
            assert step.words in found.message
        case Got():
            message = json.loads(str(await playbook.seen.get()))
            assert message["content"][0]["text"] == step.text
            assert message["stop_reason"] == step.stop_reason
        case Whole():
            assert await playbook.seen.get() == step.body.decode()
        case Opened():
            assert isinstance(await playbook.seen.get(), Opened)
        case Over():
            found = await playbook.seen.get()
            while found == "ping":
                found = await playbook.seen.get()
            assert isinstance(found, Over), found
        case Closed():
            await _fate(playbook)
        case Released():
            answer = playbook.answers[-1]
            await answer.fate.wait()
            assert not answer.closed
        case _:
            raise TypeError(step)


async def _fate(playbook: Playbook) -> None:
    """The last call was cut off, whether its answer had begun or not."""
    sent = playbook.current
    assert sent is not None
    while not sent.answer.done() or (sent.answer.cancelled() and not sent.cancelled):
        await asyncio.sleep(0)
    if sent.cancelled:
        return
    answer = sent.answer.result()
    await answer.fate.wait()
    assert answer.closed


async def _caller(playbook: Playbook, ask: Ask) -> None:
    """Does what the server does with a journey."""
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    body |= ask.fields
    if ask.stream:
        body["stream"] = True
    request = Request(json.dumps(body).encode(), named_session=ask.session, headers=((b"anthropic-version", b"1"),))
    journey = None
    try:
        journey = playbook.gateway.begin(request, "req_1", ask.caller)
        if ask.stream:
            held = await journey.hold()
            playbook.headers = journey.headers
            if not held:
                playbook.seen.put_nowait(Opened())
            await journey.stream(_sender(playbook))
            playbook.seen.put_nowait(Over())
        else:
            playbook.seen.put_nowait((await journey.message()).decode())
            playbook.headers = journey.headers
    except ApiError as error:
        playbook.seen.put_nowait(error)
    except ConnectionResetError:
        playbook.seen.put_nowait("write failed")
    finally:
        if journey is not None:
            journey.close()
            journey.close()


def _sender(playbook: Playbook) -> Callable[[bytes], Awaitable[None]]:
    busy = False

    async def send(frames: bytes) -> None:
        nonlocal busy
        assert not busy, "two sends at the same time: frames would be mixed"
        busy = True
        playbook.sends.append(frames)
        await playbook.reading.wait()
        if playbook.broken:
            raise ConnectionResetError("the caller is gone")
        for frame in frames.decode().split("\n\n")[:-1]:
            playbook.seen.put_nowait(short(frame))
        busy = False

    return send


def short(frame: str) -> str:
    """A frame in few words."""
    event, content = frame.split("\n")
    found = json.loads(content.removeprefix("data: "))
    name = event.removeprefix("event: ")
    assert found["type"] == name
    match name:
        case "content_block_start":
            return f"start {found['index']} {found['content_block']['type']}"
        case "content_block_delta":
            delta = found["delta"]
            texts = [delta[key] for key in ("text", "thinking", "partial_json", "signature") if key in delta]
            return f"delta {found['index']} {texts[0]}" if "signature" not in delta else f"sign {found['index']}"
        case "content_block_stop":
            return f"stop {found['index']}"
        case "message_delta":
            return f"message_delta {found['delta']['stop_reason']}"
        case "error":
            return f"error {found['error']['type']}: {found['error']['message']}"
    return name
