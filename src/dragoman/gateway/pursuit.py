"""The pursuit of an answer: attempts, retries, repairs and further targets, until there is something to tell.

Nothing in here was shown to the caller yet, so every failure may still be mended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import structs

from dragoman.dialects.contract import Call, Dialect, Reader, Repair, Target
from dragoman.gateway.collaborators import AnswerLike, Collaborators, Mended
from dragoman.gateway.decision import Again, Mend, Next, decide, most_telling
from dragoman.gateway.health import OF_KEY, OF_TARGET, Change, same_target
from dragoman.gateway.record import Attempt, Record
from dragoman.gateway.signing import signed_at_once
from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.estimate import tokens
from dragoman.messages.events import Event
from dragoman.messages.headers import passed_on
from dragoman.messages.notes import Note
from dragoman.messages.request import Request
from dragoman.messages.writer import MessageWriter
from dragoman.routing import affinity
from dragoman.routing.route import Route

ANSWER_LIMIT = 64 * 1024 * 1024  # bytes of an answer that is not streamed
ERROR_LIMIT = 256 * 1024  # bytes of an error's body that are read
FINISHED_IDLE = 10.0  # seconds that an answer which said its finish mark may take to end
MENDED_LIMIT = 256  # targets whose repairs are remembered
HOP_LIMIT = 20  # calls that one answer may be continued by

Pour = Callable[[Callable[[bytes], bool]], Awaitable[None]]
"""As `collaborators.Pours` says."""

_JSON_BEGINS = (b"{", b"[", b"")


class Pursuit:
    """Goes after the answer of one request. The events that it found are in `events`, not yet sent."""

    __slots__ = (
        "_answer",
        "_call",
        "_caller",
        "_clock",
        "_collaborators",
        "_errors",
        "_hops",
        "_idle",
        "_left",
        "_message_id",
        "_overflowed",
        "_passing",
        "_position",
        "_preferred",
        "_record",
        "_request",
        "_retried",
        "_route",
        "_sender",
        "_signed",
        "_signed_anew",
        "_slot",
        "_target",
        "_trial",
        "_used",
        "_who",
        "events",
        "headers",
        "heard",
        "listening",
        "loop",
        "notes",
        "pour",
        "reader",
        "writer",
    )

    # Of the slot that is asked; `_take_target` sets them.
    _slot: Target
    _target: Target  # the same, with repairs
    _call: Call | None
    _retried: int
    _signed_anew: bool  # a refused token was replaced, once for each target
    _used: list[str]  # codes of repairs that are in force or were tried
    _passing: bool  # one of them holds for this conversation only

    def __init__(
        self,
        collaborators: Collaborators,
        request: Request,
        route: Route,
        record: Record,
        caller: Sequence[tuple[str, str]],
    ) -> None:
        """Inside a running loop. `caller`: the headers with the caller's own credentials, which only targets with
        `auth` "caller" see.
        """
        self._collaborators = collaborators
        self.loop = asyncio.get_running_loop()
        self._clock = collaborators.clock
        self._caller = caller
        self._request: Request | None = request  # until an answer is committed
        self._route = route
        self._record = record
        self._message_id = "msg_" + collaborators.new_id()
        self._who = request.session or self._message_id
        slots = affinity.slots(route, self._who)
        self._position = -1  # how many slots were asked before this one
        self._left = list(slots)  # what was not asked yet
        self._overflowed = False  # what is asked about conversations that are too long is asked
        self._preferred = slots[0]
        self._trial = False  # this request tries the slot for all, and must tell how that ends
        self._errors: list[ApiError] = []  # the last one of each slot
        self._answer: AnswerLike | None = None
        self._sender: asyncio.Task[Any] | None = None  # waits for the head of an answer
        self._signed: Sequence[tuple[str, str]] = ()  # the headers of the last call that carry a key or a token
        self.listening = False  # waits for the body of an answer
        self._hops = 0  # calls that went on where the upstream had stopped
        self._idle = False  # the upstream was silent for too long, and was given up
        self.heard = 0.0  # when the upstream was last heard, or asked
        self.events: list[Event] = []
        self.headers: tuple[tuple[str, str], ...] = ()  # of an answer that is passed on
        self.notes: tuple[Note, ...] = ()
        self.pour: Pour | None = None  # of an answer that offers it
        self.writer: MessageWriter | None = None
        self.reader: Reader | None = None  # of the answer that is taken

    async def run(self) -> None:
        """Until the answer is committed, for a caller that streams; until it is whole, for others.

        Raises ApiError: the most telling one of all attempts.
        """
        request = self._request
        assert request is not None  # noqa: S101 nothing is committed yet
        collaborators = self._collaborators
        streams = self._record.stream
        self._take_target()
        while True:
            if request.max_tokens == 0 and self._target.dialect not in collaborators.relaying:
                self._warm_up(request.body)
                return
            began = self._clock()
            try:
                call, writer = self._ready(request)
                self.events = await self._begin(call, writer)
                while not writer.ended and not (streams and writer.committed):
                    self.events += await self.more()
            except ApiError as error:
                failure = error
            except Exception as crash:  # noqa: BLE001 a bug of ours must reach the caller in its own language
                failure = self.crashed(crash)
            else:
                self._account(began)
                if self._used and not self._passing:
                    self._remember()
                self._trial = False
                if collaborators.health.troubles:
                    self._well(whole=False)
                return
            self._account(began, failure)
            await self._after(failure)

    def settle(self) -> None:
        """The answer is committed: no other one will follow, and what was asked need not be kept while it streams."""
        request = self._request
        if request is not None:
            self.notes = (*request.notes, *self._route.notes, *self.notes)
        if self._call is not None:
            self._call.recall.estimate.tokens()  # what could measure it later would keep the whole body
        self._request = self._call = None
        self._left = []

    def all_notes(self) -> list[Note]:
        """Of what was asked, where it went, what it became there, and of the answer as far as it came."""
        request, writer = self._request, self.writer
        found = [*self.notes] if request is None else [*request.notes, *self._route.notes, *self.notes]
        if writer is not None:
            found += writer.notes
        return found

    async def more(self) -> list[Event]:
        """The events of the next bytes. Raises ApiError."""
        reader, writer = self.reader, self.writer
        assert reader is not None and writer is not None  # noqa: PT018, S101 only called for an answer that is taken
        answer = self._answer
        assert answer is not None  # noqa: S101 likewise
        broken = None
        self.heard = self._clock()
        self.listening = True
        try:
            chunk = await answer.read()
        except ApiError as error:
            chunk, broken = b"", self._silence() if self._idle else error
            error.forget()  # it holds this frame: a circle
        finally:
            self.listening = False
        try:
            if chunk:
                return reader.feed(chunk)
            if broken is None and not writer.ended and (call := _next_call(reader)) is not None:
                return await self._go_on(call)
            # A connection that broke, or fell silent, after the upstream's finish mark took nothing away.
            events = reader.close()
        except ApiError as error:
            if broken is not None and error.kind in ("truncated", "bad_answer"):
                raise broken from None
            raise
        except Exception as crash:
            raise self.crashed(crash) from crash
        if not writer.ended:
            raise ApiError("truncated", "The upstream's answer ended before it was complete.")
        return events

    def crashed(self, crash: Exception) -> ApiError:
        """What the caller is told about a bug of ours; the record keeps the bug."""
        self._record.crash = crash
        return ApiError("internal", "dragoman failed on this request. Its log has the details.")

    def overdue(self, now: float) -> float:
        """Give the upstream up when it was silent for too long. Returns the seconds after which to ask again."""
        limit = self._collaborators.settings.read_idle
        often = min(limit, FINISHED_IDLE)
        if self._sender is None and not self.listening:
            return often
        if self.writer is not None and self.writer.finished:
            limit = often
        left = self.heard + limit - now
        if left > 0:
            return min(left, often)
        self._idle = True
        if self._sender is not None:
            self._sender.cancel()
        else:
            self.close()
        return often

    def lost(self, error: ApiError) -> None:
        """An answer that was taken broke off."""
        if error.kind in OF_TARGET:
            self._tell(self._collaborators.health.failed(self._slot, error, self._clock()))

    def finish(self, *, soon: bool) -> None:
        """The answer is taken. `soon`: the upstream said its last word, too."""
        if self._collaborators.health.troubles:
            self._well(whole=True)
        answer = self._answer
        if answer is not None:
            if soon:
                answer.release()
            else:
                answer.close()

    def close(self) -> None:
        """Leave: an answer that is not over is closed at once."""
        if self._answer is not None:
            self._answer.close()
        if self._trial:
            self._trial = False
            self._collaborators.health.leave(self._slot, self._clock())

    # One attempt

    def _ready(self, request: Request) -> tuple[Call, MessageWriter]:
        """What is sent, and who writes what comes. Raises ApiError."""
        call = self._call
        if call is None:
            target = self._target
            call = self._call = translated(self._collaborators.dialects[target.dialect], request, target)
            self._record.endpoint = _endpoint(call.url)
        self.notes = call.notes
        slot, preferred = self._slot, self._preferred
        if slot is not preferred and not same_target(slot, preferred):
            self.notes = (*call.notes, Note("changed", "target.fallback", "model"))
        writer = self.writer = call.recall.writer(self._message_id)
        return call, writer

    async def _begin(self, call: Call, writer: MessageWriter) -> list[Event]:
        """Send the call. The first events of its answer: none yet of one that streams, all of another.

        Raises ApiError for an error status, too.
        """
        collaborators = self._collaborators
        target = call.target
        self.heard = self._clock()
        self._sender = asyncio.current_task(self.loop)
        try:
            signer = collaborators.signer
            headers = signed_at_once(signer, target, self._caller)
            if headers is None:
                headers = await signer.fetch(target)
            self._signed = headers
            answer = self._answer = await collaborators.upstream.send(
                call.method, call.url, [*call.headers, *headers], call.body, public=target.public
            )
        except asyncio.CancelledError:
            # Taken back when it was only the idle limit, as asyncio.timeout does it.
            if self._idle and self._sender is not None and self._sender.uncancel() == 0:
                raise self._silence() from None
            raise
        finally:
            self._sender = None
        dialect = collaborators.dialects[target.dialect]
        if not 200 <= answer.status < 300:
            raise await self._refusal(dialect, call, answer)
        self.pour = getattr(answer, "pour", None)
        if call.relays:
            self.headers = passed_on(answer.headers)
        told = call
        if call.stream and getattr(dialect, "answers_once", False):
            told = structs.replace(call, body=b"")
        reader = self.reader = dialect.reader(told, writer)
        offer = None if call.stream else getattr(answer, "document", None)
        body: bytes | None = offer() if offer is not None else None
        if body is None:
            if _is_stream(answer, call):
                return []
            first = b""
            if call.stream:
                first = await self._read()
                if first.lstrip()[:1] not in _JSON_BEGINS:
                    return reader.feed(first)  # a stream under a wrong name
            body = await self._body(answer, first)
        events = reader.whole(body)
        if not writer.ended:
            following = _next_call(reader)
            if following is None:
                raise ApiError("truncated", "The upstream's answer ended before it was complete.")
            events += await self._go_on(following)
        return events

    async def _go_on(self, call: Call) -> list[Event]:
        """Ask for the rest of an answer that stopped in its middle; what comes is told by the same writer."""
        writer, stopped = self.writer, self._answer
        assert writer is not None and stopped is not None  # noqa: PT018, S101 only called for an answer that is taken
        stopped.release()
        self._hops += 1
        if self._hops > HOP_LIMIT:
            raise ApiError("truncated", f"The upstream stopped {self._hops} times in the middle of its answer.")
        return await self._begin(call, writer)

    async def _read(self) -> bytes:
        answer = self._answer
        assert answer is not None  # noqa: S101 only called after an answer came
        self.heard = self._clock()
        self.listening = True
        try:
            return await answer.read()
        except ApiError:
            if self._idle:
                raise self._silence() from None
            raise
        finally:
            self.listening = False

    async def _body(self, answer: AnswerLike, first: bytes) -> bytes:
        """The whole body that begins with `first`."""
        parts = [first] if first else []
        size = len(first)
        self.listening = True
        try:
            while size <= ANSWER_LIMIT:
                self.heard = self._clock()
                chunk = await answer.read()
                if not chunk:
                    break
                parts.append(chunk)
                size += len(chunk)
        except ApiError:
            if self._idle:
                raise self._silence() from None
            raise
        finally:
            self.listening = False
        if size > ANSWER_LIMIT:
            raise ApiError("bad_answer", f"The upstream sent an answer of more than {ANSWER_LIMIT} bytes.")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _refusal(self, dialect: Dialect, call: Call, answer: AnswerLike) -> ApiError:
        status = answer.status
        if status < 400:
            where = answer.headers.get("location", "").partition("?")[0]
            text = f"The upstream redirects to {where or 'nowhere'}. Set base_url to where it really is."
            return ApiError("bad_answer", text, should_retry=False, upstream_status=status)
        body = bytearray()
        try:
            while len(body) < ERROR_LIMIT and (chunk := await self._read()):
                body += chunk
        except ApiError:
            pass  # the status alone says enough
        error = dialect.error(status, answer.headers, bytes(body[:ERROR_LIMIT]), call)
        if error.upstream_status is None:
            error.upstream_status = status
        return error

    def _silence(self) -> ApiError:
        seconds = self._collaborators.settings.read_idle
        return ApiError("timeout", f"The upstream was silent for {seconds:g} s. server.read_idle sets this limit.")

    def _warm_up(self, body: Body) -> None:
        """`max_tokens: 0` only warms a prompt cache, and asks for no answer. Only upstreams of Messages know it."""
        self.notes = (Note("changed", "cache.not_warmed", "max_tokens"),)
        self._record.provider = self._record.upstream_model = None  # nobody was asked
        self.writer = MessageWriter(
            message_id=self._message_id, model=self._record.model, input_tokens=lambda: tokens(body)
        )
        self.writer.finish("max_tokens")
        self.writer.end()
        self.events = self.writer.take()

    # After a failure

    async def _after(self, error: ApiError) -> None:
        """Make ready for the next attempt. Raises the error to tell when there is none."""
        error.forget()
        status = None
        if self._answer is not None:
            status = self._answer.status
            self._answer.close()
        self._answer = self.pour = self.reader = self.writer = None
        self._idle = False
        self._hops = 0
        self.events = []
        if error.verbatim is not None and self.headers:  # an error inside an answer: its request id is in their head
            error.verbatim = structs.replace(error.verbatim, headers=(*error.verbatim.headers, *self.headers))
        self.headers = ()
        if len(self._errors) == self._position:
            self._errors.append(error)
        self._errors[self._position] = error
        if error.upstream_status == 401 and not self._signed_anew and self._target.auth != "caller":
            self._signed_anew = True
            if self._collaborators.signer.refused(self._target, self._signed):
                return
        repair = self._repair(error)
        if error.upstream_status is None:
            error.upstream_status = status  # words out of an answer are not ours, and may quote our key
        collaborators = self._collaborators
        now = self._clock()
        overflow = error.kind == "context_overflow" and not self._overflowed and bool(self._route.overflow)
        if repair is None:
            self._trial = False
            self._tell(collaborators.health.failed(self._slot, error, now))
        others = self._others(error, now)
        decision = decide(
            error,
            retried=self._retried,
            retries=collaborators.settings.retries,
            elapsed=now - self._record.started,
            mendable=repair is not None,
            others=bool(others),
            overflow=overflow,
            resting=collaborators.health.resting(self._slot, now),
        )
        if isinstance(decision, Mend) and repair is not None:
            self._used.append(repair.code)
            self._record.repairs.append(repair.code)
            self._passing = self._passing or not repair.lasting
            self._target, self._call = repair.target, None
        elif isinstance(decision, Again):
            self._retried += 1
            await asyncio.sleep(decision.after)
        elif isinstance(decision, Next):
            self._left = others
            if overflow:
                self._overflowed = True
                self._left = list(affinity.ordered(self._route.overflow, self._who))
            self._take_target()
        else:
            raise self._final(now)

    def _others(self, error: ApiError, now: float) -> list[Target]:
        """The slots that may do better after `error`: another key of the same target only when it is about the key."""
        health, slot = self._collaborators.health, self._slot
        same = error.kind in OF_KEY
        return [each for each in self._left if (same or not same_target(each, slot)) and health.usable(each, now)]

    def _final(self, now: float) -> ApiError:
        """The error to tell. Callers learn when it makes sense to come back, where that is known."""
        error = most_telling(self._errors)
        if error.retry_after is None and error.retryable and error.verbatim is None:
            error.retry_after = self._collaborators.health.soonest(affinity.slots(self._route, self._who), now)
        return error

    def _well(self, *, whole: bool) -> None:
        for change in self._collaborators.health.succeeded(self._slot, whole=whole):
            self._collaborators.tell(change)

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._collaborators.tell(change)

    def _repair(self, error: ApiError) -> Repair | None:
        call = self._call
        offer = getattr(self._collaborators.dialects[self._target.dialect], "repair", None)
        if call is None or offer is None:
            return None
        repair: Repair | None = offer(call, error)
        return repair if repair is not None and repair.code not in self._used else None

    def _take_target(self) -> None:
        left, record, collaborators = self._left, self._record, self._collaborators
        health, mended = collaborators.health, collaborators.mended
        self._trial = False
        if not health.troubles:
            slot = left.pop(0)
        else:
            now = self._clock()
            slot = left.pop(health.next(left, now))
            self._trial = health.begin(slot, now)
        self._slot = self._target = slot
        self._position += 1
        self._retried = 0
        self._signed_anew = False
        self._call = None
        self._used = []
        self._passing = False
        record.provider, record.upstream_model = slot.provider, slot.model
        if mended and (known := mended.get((slot.provider, slot.base_url, slot.model))) is not None:
            self._target = known.target if known.target.key == slot.key else structs.replace(known.target, key=slot.key)
            self._used += known.repairs
        record.repairs = self._used.copy()

    def _remember(self) -> None:
        """Repairs that worked are used at once next time. Not called when one was about this conversation."""
        mended = self._collaborators.mended
        key = (self._slot.provider, self._slot.base_url, self._slot.model)  # a repair may have changed the target's
        known = mended.get(key)
        if known is None:
            while len(mended) >= MENDED_LIMIT:
                del mended[next(iter(mended))]
        elif len(known.repairs) >= len(self._used):
            return
        mended[key] = Mended(self._target, tuple(self._used))

    def _account(self, began: float, error: ApiError | None = None) -> None:
        target = self._target
        answer = self._answer
        self._record.attempts.append(
            Attempt(
                f"{target.provider}/{target.model}",
                (self._clock() - began) * 1000,
                answer.status if answer is not None else None,
                error.kind if error is not None else None,
                self._used[-1] if self._used else None,
            )
        )


def translated(dialect: Dialect, request: Request, target: Target) -> Call:
    """The call. Raises ApiError, also for a part of the caller's JSON that nobody had to read until here."""
    try:
        return dialect.call(request, target)
    except msgspec.DecodeError as error:  # a number that no machine holds
        raise ApiError("invalid_request", f"The request holds a value that cannot be read: {error}.") from error


def _next_call(reader: Reader) -> Call | None:
    """The call that goes on where the answer stopped, of a reader that offers `contract.Continues`."""
    offer = getattr(reader, "next_call", None)
    call: Call | None = offer() if offer is not None else None
    return call


def relays(dialect: Dialect) -> bool:
    """Whether its targets speak Messages themselves, so that nothing is translated."""
    found: bool = getattr(dialect, "relays", False)
    return found


def _is_stream(answer: AnswerLike, call: Call) -> bool:
    """What the answer is, by its own word; else what was asked for."""
    content_type = answer.headers.get("content-type", "")
    content_type = content_type.lower()
    if content_type.startswith("text/event-stream"):
        return True
    if content_type.startswith("application/json"):
        return False
    return call.stream


@lru_cache(maxsize=512)  # the same few for every request
def _endpoint(url: str) -> str:
    """Host and path, without query and credentials."""
    host, slash, path = url.partition("://")[2].partition("?")[0].partition("/")
    return host.rpartition("@")[2] + slash + path
