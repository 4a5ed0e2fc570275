"""Which tool call a piece of a stream belongs to: indexes, ids and names, as far as a server sends them."""

import json

from dragoman.dialects.chat.wire import Function, ToolCall
from dragoman.messages.errors import ApiError
from dragoman.messages.writer import MessageWriter

_NOTHING = Function()


class PendingCall:
    """One call of the answer. It is announced late, because names come in pieces too."""

    __slots__ = ("_writer", "announced", "id", "key", "last", "name")

    def __init__(self, key: int, call_id: str | None, writer: MessageWriter) -> None:
        self._writer = writer
        self.key = key
        self.id = call_id
        self.name = ""
        self.announced = False
        self.last = ""  # last piece of the arguments that was not only white space

    def add(self, arguments: str) -> None:
        """More of the arguments of a call that is announced, as JSON text."""
        if arguments and not arguments.isspace():
            self.last = arguments
        self._writer.arguments(self.key, arguments)

    def add_all(self, pieces: list[str]) -> None:
        """The same in several pieces. The list is the writer's then."""
        self.last = next((piece for piece in reversed(pieces) if piece and not piece.isspace()), self.last)
        self._writer.fragments(self.key, pieces)


class Calls:
    """Tells the writer about tool calls; a key is the call's number in the answer."""

    __slots__ = ("_by_index", "_calls", "_waiting", "_writer")

    def __init__(self, writer: MessageWriter) -> None:
        self._writer = writer
        self._calls: list[PendingCall] = []
        self._by_index: dict[int, PendingCall] = {}
        self._waiting: PendingCall | None = None  # named, not announced yet

    def place(self, piece: ToolCall, *, whole: bool) -> PendingCall:
        """The call that `piece` is about; a new one when it belongs to none. `whole`: it is a call of its own."""
        function = piece.function or _NOTHING
        call = None if whole else self._find(piece, function)
        if call is None:
            call = self._begin(piece)
        if piece.id and not call.id:
            call.id = piece.id
        name = function.name
        if name and not call.announced and name != call.name:  # the same name again is a repetition
            call.name += name
        return call

    def add(self, call: PendingCall, arguments: str) -> None:
        """More of the arguments, as JSON text."""
        if not call.announced:
            self._announce(call)
        if arguments:
            call.add(arguments)

    def settled(self) -> bool:
        """Whether no call waits for the rest of its name."""
        return self._waiting is None

    def settle(self) -> None:
        """Something else comes: the call that waits for the rest of its name has all of it."""
        if self._waiting is not None:
            self._announce(self._waiting)

    def _begin(self, piece: ToolCall) -> PendingCall:
        if self._waiting is not None:
            self._announce(self._waiting)
        call = PendingCall(len(self._calls), piece.id or None, self._writer)
        self._calls.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        self._waiting = call
        return call

    def _announce(self, call: PendingCall) -> None:
        if not call.name:
            raise ApiError("bad_answer", "The upstream sent a tool call without a name.")
        call.announced = True
        self._waiting = None  # there is never another: a new call settles the one before
        self._writer.tool(call.key, call.name, call.id)

    def _find(self, piece: ToolCall, function: Function) -> PendingCall | None:
        if not self._calls:
            return None
        if piece.index is not None:
            call = self._by_index.get(piece.index)
            if call is not None or function.name:
                return None if call is None or _is_another(call, piece, function) else call
        if piece.id:
            for call in self._calls:
                if call.id == piece.id:
                    return call
        last = self._calls[-1]
        if not function.name:  # a continuation, whatever id it has
            return last
        if piece.id or function.name != last.name or _is_another(last, piece, function):
            return None
        return last


def _is_another(call: PendingCall, piece: ToolCall, function: Function) -> bool:
    """Whether a piece with the index of `call` begins another one.

    Some servers number every call 0, some give every piece of one call an id of its own, some repeat the name in
    every piece.
    """
    name = function.name
    if not name:
        return False
    if piece.id and call.id:
        return piece.id != call.id
    if not call.announced:
        return False
    if name != call.name:
        return True
    arguments = function.arguments
    return call.last.rstrip().endswith("}") and (
        isinstance(arguments, dict) or (arguments or "").lstrip().startswith("{")
    )


def written(arguments: str | dict[str, object] | None) -> str:
    """Arguments as JSON text, also from servers that send the object itself."""
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return arguments or ""
