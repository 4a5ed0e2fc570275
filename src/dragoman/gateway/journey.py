"""The journey of one request: held, opened, committed, over. It decides what the caller sees, and when.

Held: nothing was sent, a failure is a real HTTP status. Opened: status 200 and pings, because nothing came for long.
Committed: the first content was sent. Opened or committed, a failure is one `error` event; no second answer follows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from dragoman.gateway.collaborators import Collaborators
from dragoman.gateway.pursuit import Pour, Pursuit
from dragoman.gateway.record import Record
from dragoman.messages.errors import ApiError
from dragoman.messages.events import Event, MessageDelta
from dragoman.messages.fold import fold
from dragoman.messages.request import Request
from dragoman.messages.sse import PING, encode_all
from dragoman.messages.writer import MessageWriter
from dragoman.routing.route import Route

CALLER_LEFT = 499  # in the record only: nginx's number for a caller that left before it was told anything
OFTEN = 10.0  # seconds after which a journey is looked at, whatever it waits for

Send = Callable[[bytes], Awaitable[None] | None]
"""Writes whole frames. None: they are written, and there is room for more; else wait for what it returns."""

State = Literal["held", "opened", "committed", "over"]

_encode = msgspec.json.Encoder().encode


class Journey:
    """One request on its way. `message` for a caller that waits; `hold`, then `stream`, for one that streams.

    `close` belongs into the caller's `finally`, whatever happened.
    """

    __slots__ = (
        "_closed",
        "_collaborators",
        "_ping",
        "_pursuit",
        "_send",
        "_sent",
        "_slow",
        "_task",
        "_thrown",
        "_woken",
        "record",
        "state",
    )

    def __init__(
        self,
        collaborators: Collaborators,
        request: Request,
        route: Route,
        record: Record,
        caller: Sequence[tuple[str, str]],
    ) -> None:
        """Inside a running loop. `caller`: the headers with the caller's own credentials."""
        self._collaborators = collaborators
        self._pursuit = Pursuit(collaborators, request, route, record, caller)
        self._task: asyncio.Task[None] | None = None  # the pursuit, for a caller that streams
        self._woken: asyncio.Future[None] | None = None
        self._send: Send | None = None
        self._sent = record.started  # when the caller last heard something
        self._ping: asyncio.Task[None] | None = None
        self._slow: asyncio.Future[None] | None = None  # the caller has no room for what was sent last
        self._thrown: Exception | None = None  # what ended the pouring
        self._closed = False
        self.record = record
        self.state: State = "held"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The upstream's own headers, when its answer is passed on."""
        return self._pursuit.headers

    async def message(self) -> bytes:
        """The whole Message as JSON. Raises ApiError."""
        self._collaborators.rounds.begin(self)
        pursuit = self._pursuit
        try:
            await pursuit.run()
            body: bytes | None = getattr(pursuit.reader, "body", None)  # of an answer that is passed on
            message = fold(pursuit.events) if body is None else None
            body = _encode(message) if body is None else body
        except ApiError as error:
            raise self._failure(error) from None
        except Exception as crash:
            raise self._failure(pursuit.crashed(crash)) from crash
        record = self.record
        if message is not None:
            record.usage, record.stop_reason = message.usage, message.stop_reason
        record.status, record.answer_bytes = 200, len(body)
        self._over()
        return body

    async def hold(self) -> bool:
        """Wait for the first content. True: it is here; False: `open_after` passed, send status 200 and go on.

        Raises ApiError: there is still time for a real HTTP status.
        """
        self._collaborators.rounds.begin(self)
        task = self._task = self._pursuit.loop.create_task(self._pursuit.run())
        woken = self._woken = self._pursuit.loop.create_future()
        task.add_done_callback(self._wake)
        await woken
        self._woken = None
        if not task.done():
            self.state = "opened"
            self.record.notes = self._pursuit.all_notes()
            return False
        try:
            task.result()
        except ApiError as error:
            raise self._failure(error) from None
        self._commit()
        return True

    async def stream(self, send: Send) -> None:
        """Send the whole answer: what waits, and then everything as it comes. After `hold`.

        No more is read while a caller has no room for what was sent. A failure is told as one error event, and raises
        nothing; what `send` raises comes through.
        """
        self._send = send
        self.record.status = 200
        try:
            if self.state == "opened" and self._task is not None:
                await self._wait(send, self._task)
            await self._deliver(send)
        except ApiError as error:
            await self._fail(send, error)

    def close(self) -> None:
        """Leave nothing behind. What is unfinished is closed at once, and the account is settled, once."""
        if self._closed:
            return
        self._closed = True
        record = self.record
        self._collaborators.rounds.end(self)
        for task in (self._task, self._ping, self._slow):
            if task is not None and not task.cancel() and not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it
        self._task = self._ping = self._slow = None  # their ends hold this
        if self.state != "over":
            self._pursuit.close()
            record.caller_left = True
            record.status = record.status or CALLER_LEFT
            record.notes = self._pursuit.all_notes()
        writer = self._pursuit.writer
        if record.usage is None and writer is not None:
            record.usage = writer.usage_seen
            if record.stop_reason is None and writer.outcome is not None:
                record.stop_reason = writer.outcome.stop_reason
        record.ms = (self._collaborators.clock() - record.started) * 1000
        try:
            self._collaborators.watch(record)
        except Exception:  # noqa: BLE001 watching cannot break traffic
            self._collaborators.unwatched.count += 1
        if record.error is not None:
            record.error.forget()
        if (crash := record.crash) is not None:  # its frames hold this
            crash.__traceback__ = crash.__context__ = crash.__cause__ = None

    # The way of a stream

    async def _wait(self, send: Send, task: asyncio.Task[None]) -> None:
        """Opened, and nothing to tell yet."""
        if not task.done():
            self._begin_ping(send)
            self._collaborators.rounds.begin(self)
            await task
        task.result()
        self._commit()

    def _commit(self) -> None:
        self.state = "committed"
        self._task = None
        self._pursuit.settle()
        self.record.first_token_ms = (self._collaborators.clock() - self.record.started) * 1000
        self.record.notes = self._pursuit.all_notes()

    async def _deliver(self, send: Send) -> None:
        pursuit = self._pursuit
        record = self.record
        clock = self._collaborators.clock
        writer = pursuit.writer
        while True:
            events, pursuit.events = pursuit.events, []
            if events:
                try:
                    frames = encode_all(events)
                except Exception as crash:
                    raise pursuit.crashed(crash) from crash
                if self._ping is not None:
                    await self._ping
                waiting = send(frames)
                if waiting is not None:
                    try:
                        await waiting
                    finally:
                        del waiting  # its failure holds this frame: a circle
                record.answer_bytes += len(frames)
                self._sent = clock()
            if writer is None or writer.ended:
                break
            if pursuit.pour is not None:
                await self._flow(pursuit.pour)
            if not pursuit.events and not writer.ended:
                pursuit.events = await pursuit.more()
        for event in events:
            if isinstance(event, MessageDelta):
                record.usage, record.stop_reason = event.usage, event.delta.stop_reason
        self._over()

    async def _flow(self, pour: Pour) -> None:
        """Let the answer's bytes go through as they come, for as long as nothing is in the way."""
        pursuit = self._pursuit
        pursuit.heard = self._collaborators.clock()
        pursuit.listening = True
        try:
            await pour(self._take)
        finally:
            pursuit.listening = False
        if self._thrown is not None:
            try:
                raise self._thrown
            finally:
                self._thrown = None  # raised, it holds this frame and with it this: held here, a circle
        if self._slow is not None:
            try:
                await self._slow
            finally:
                self._slow = None  # likewise

    def _take(self, chunk: bytes) -> bool:
        """Bytes in the middle of a stream go on in the very call that they came in: no task wakes up for them.

        False: `_deliver` goes on, at the end, after a failure, and where the caller or a ping is waited for.
        """
        pursuit = self._pursuit
        reader, writer, send = pursuit.reader, pursuit.writer, self._send
        assert reader is not None and writer is not None and send is not None  # noqa: PT018, S101 of a stream
        pursuit.heard = now = self._collaborators.clock()
        try:
            events = reader.feed(chunk)
            if self._ping is not None or writer.ended:
                pursuit.events = events
                return False
            if not events:
                return True
            frames = encode_all(events)
        except ApiError as error:
            self._thrown = error
            return False
        except Exception as crash:  # noqa: BLE001 a bug of ours must reach the caller in its own language
            self._thrown = pursuit.crashed(crash)
            return False
        try:
            waiting = send(frames)
        except Exception as error:  # noqa: BLE001 raised where the stream is awaited
            self._thrown = error
            return False
        self.record.answer_bytes += len(frames)
        self._sent = now
        if waiting is None:
            return True
        self._slow = asyncio.ensure_future(waiting)  # closed, too, when the caller leaves before `_flow` comes to it
        return False

    async def _fail(self, send: Send, error: ApiError) -> None:
        pursuit = self._pursuit
        writer = pursuit.writer
        events: list[Event] = []
        if writer is None:
            writer = MessageWriter(message_id="", model=self.record.model)
        else:
            events = writer.take()  # what was made before the failure, in the same read
        if self.state == "committed":
            pursuit.lost(error)
        self._failure(error)
        events.append(writer.fail(error, self.record.request_id))
        frames = encode_all(events)
        if self._ping is not None:
            await self._ping
        waiting = send(frames)
        if waiting is not None:
            await waiting
        self.record.answer_bytes += len(frames)

    def _failure(self, error: ApiError) -> ApiError:
        """Over, with an error. The upstream is closed now, not when the caller has read about it."""
        if self.state == "held":
            self.record.status = error.status
        self.record.error = error
        self.state = "over"
        self.record.notes = self._pursuit.all_notes()
        self._pursuit.close()
        return error

    def _over(self) -> None:
        """Over, with a whole answer."""
        self.state = "over"
        pursuit, record = self._pursuit, self.record
        record.notes = pursuit.all_notes()
        # After a stop sequence of ours the upstream would go on and on; else its end is a moment away.
        pursuit.finish(soon=record.stop_reason != "stop_sequence")

    # Time

    def look(self) -> float:
        """What is due by the clock. Returns the seconds after which to look again."""
        now = self._collaborators.clock()
        settings = self._collaborators.settings
        after = self._pursuit.overdue(now)
        if self._woken is not None:
            left = self.record.started + settings.open_after - now
            if left <= 0:
                self._wake()
            else:
                after = min(after, left)
        send = self._send
        if send is not None and self.state != "over":
            left = self._sent + settings.ping_every - now
            if left <= 0 and (self.state == "opened" or self._pursuit.listening):
                self._begin_ping(send)
            if left <= 0:
                left = settings.ping_every
            after = min(after, left)
        return after

    def _wake(self, _task: asyncio.Task[None] | None = None) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _begin_ping(self, send: Send) -> None:
        if self._ping is None:
            self._sent = self._collaborators.clock()
            self._ping = self._pursuit.loop.create_task(self._send_ping(send))

    async def _send_ping(self, send: Send) -> None:
        """In a task of its own; the next frames wait for it, so that frames are never mixed."""
        waiting = send(PING)
        if waiting is not None:
            await waiting
        self._ping = None
