"""The request of a caller: its body, decoded as far as somebody looks, and what came beside it."""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from dragoman.messages import decoding, edit
from dragoman.messages.body import Body
from dragoman.messages.edit import Changes
from dragoman.messages.errors import ApiError
from dragoman.messages.known import Parts, Seen
from dragoman.messages.notes import Note
from dragoman.messages.outline import Head, Metadata, Outline, wants_thinking
from dragoman.messages.pieces import Pieces

Value = TypeVar("Value")


class _once(Generic[Value]):  # noqa: N801 used as `property` is
    """`functools.cached_property` without its lock, which it has up to Python 3.11."""

    def __init__(self, find: Callable[[Any], Value]) -> None:
        self._find = find
        self._name = find.__name__

    def __get__(self, owner: "Request", _kind: type) -> Value:
        value = self._find(owner)
        owner.__dict__[self._name] = value  # found before this is asked again
        return value


class _OfHead(Generic[Value]):
    """A field of the head. The first look at one of them finds them all."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: "Request", _kind: type) -> Value:
        owner.read_head()
        found: Value = owner.__dict__[self._name]
        return found


class Request(Struct, frozen=True, dict=True):
    """What a caller asks, without who asks: no credentials in here.

    It is decoded when somebody looks, and no further than that: who passes it on as it is needs only its head. What
    looks at `body`, or at one of the fields of the head, raises ApiError("invalid_request") that names the field.
    """

    raw: bytes | Seen  # as received, after decompression
    counting: bool = False  # for `count_tokens`, where no answer is asked for
    version: str = ""  # anthropic-version
    betas: tuple[str, ...] = ()  # anthropic-beta, split at commas
    query: str = ""
    named_session: str | None = None  # value of x-claude-code-session-id
    headers: tuple[tuple[bytes, bytes], ...] = ()  # the caller's own that an upstream of Messages may see
    notes: ClassVar[tuple[Note, ...]] = ()  # from decoding `body`; none before that

    @_once
    def _parts(self) -> Parts | None:
        return decoding.parts(self.raw)

    @_once
    def body(self) -> Body:
        body, notes = decoding.body(self.raw, self._parts)
        if body.max_tokens is None and not self.counting:
            raise ApiError("invalid_request", "max_tokens: Field required")
        self.__dict__["notes"] = notes
        return body

    @_once
    def outline(self) -> Outline | None:
        """What the turns are made of; None where the body is so odd that only its upstream can say what is wrong."""
        try:
            return decoding.outline(self.raw, self._parts)
        except ApiError:
            return None

    model = _OfHead[str]("model")
    stream = _OfHead[bool]("stream")
    max_tokens = _OfHead[int | None]("max_tokens")
    thinks = _OfHead[bool]("thinks")
    session = _OfHead[str | None]("session")
    """A stable name of the conversation, when the client gives one: in a header, else in `metadata.user_id`."""

    def read_head(self) -> None:
        """Finds the fields above. Raises ApiError("invalid_request") that names a wrong one."""
        parts = self._parts
        head: Head = decoding.head(self.raw) if parts is None else parts.head
        found = self.__dict__
        found["stream"] = bool(head.stream)
        found["max_tokens"] = head.max_tokens
        found["thinks"] = wants_thinking(head.thinking)
        found["session"] = self.named_session or session_of(head.metadata)
        found["model"] = head.model

    def edited(self, changes: Changes) -> bytes | Pieces:
        """The raw body with changes, if there are any. Raises msgspec.DecodeError for what is no JSON."""
        raw = self.raw
        if not changes:
            return raw if isinstance(raw, bytes) else raw.cutting.pieces()
        return edit.changed_request(bytes(raw), changes) if self._parts is None else self._parts.edited(changes)


def decode(
    raw: bytes | Seen,
    *,
    counting: bool = False,
    version: str = "",
    betas: tuple[str, ...] = (),
    query: str = "",
    session: str | None = None,
) -> Request:
    """A request whose body is decoded at once.

    `session` is the value of `x-claude-code-session-id`, if any. Raises ApiError("invalid_request") that names the
    field.
    """
    request = Request(raw, counting, version, betas, query, session)
    request.body  # noqa: B018 looked at, so that a wrong one is told here
    return request


def session_of(metadata: Metadata | None) -> str | None:
    """The session part of `metadata.user_id`: Claude Code puts a JSON object with `session_id` there."""
    user = metadata.user_id if metadata else None
    if not user:
        return None
    if user.startswith("{"):
        try:
            found: Any = msgspec.json.decode(user)
        except (msgspec.DecodeError, RecursionError):
            return None
        session = found.get("session_id")
        return session if isinstance(session, str) and session else None
    return user.partition("_session_")[2] or None
