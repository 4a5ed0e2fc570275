"""Small edits of JSON that others wrote: what is not changed keeps every byte, its order, escapes and spaces."""

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Raw

from dragoman.messages.lenient import repair_surrogates

Changes: TypeAlias = dict[str | int, "Changes | bytes | None"]
"""What becomes of members (by name) and of entries (by number): JSON in their place, None to leave them out, or changes
inside them. A name that is not there is added, unless it is to be left out or changed inside."""

EACH = "*"
"""The key for every member or entry that has no key of its own."""

MORE = "+"
"""The key for further entries at the end of a list: JSON, with commas between them."""

_KEY = re.compile(rb'[\s,]*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*', re.DOTALL)
_BEFORE = re.compile(rb"[\s,]*")
_AFTER = frozenset((b"", b" ", b"\t", b"\n", b"\r", b",", b"}", b"]"))
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\s,:"\[\]{}]+', re.DOTALL)
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_ASCII = bytes(range(0x80)) + b"?" * 0x80
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_NAME = msgspec.json.Decoder(str)
_MODEL = b'"model"'
_LETTER = b"\\u006"  # how escapes of its letters begin
_VALUE = re.compile(rb'\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)


def with_model(raw: bytes, model: str) -> bytes:
    """The JSON object `raw` with another `model` at its top; nothing else changes.

    Raises msgspec.DecodeError for what is no JSON object, or has no model at its top.
    """
    found: list[str] = []
    made = changed(raw, {"model": msgspec.json.encode(model)}, found)
    if not found:
        raise msgspec.DecodeError("There is no model.")
    return made


def changed_request(raw: bytes, changes: Changes) -> bytes:
    """`changed`, for an object that is known to have a model at its top, a string.

    Most often nothing else changes. The only "model" of the text is that one, and it is found without reading the rest.
    """
    model = changes.get("model")
    if isinstance(model, bytes) and len(changes) == 1 and raw.count(_MODEL) == 1 and _LETTER not in raw:
        found = _VALUE.match(raw, raw.find(_MODEL) + len(_MODEL))
        if found is not None:
            whole = memoryview(raw)
            return b"".join((whole[: found.start(1)], model, whole[found.end(1) :]))
    return changed(raw, changes)


def changed(raw: bytes, changes: Changes, found: list[str] | None = None) -> bytes:
    """`raw` with the changes. `found` gets the path of each that was there to be changed or left out.

    A name that stands twice in an object is changed twice. Raises msgspec.DecodeError for what is no JSON.
    """
    text = _Text(raw, raw)
    try:
        try:
            text.change(changes)
        except (msgspec.DecodeError, UnicodeDecodeError):  # half a character, or none: decoders refuse those
            text = _Text(raw, repair_surrogates(raw).translate(_ASCII))
            text.change(changes)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
    if found is not None:
        found += text.found
    return text.made()


class _Spot(NamedTuple):
    """Where a member of an object, or an entry of a list, is."""

    name: str | int
    start: int  # of its key, or of itself
    value: int
    end: int


class _Text:
    """`raw`, and what is cut out of it and put in. `sound` is as long, and has nothing that a decoder refuses."""

    def __init__(self, raw: bytes, sound: bytes) -> None:
        self.found: list[str] = []
        self._raw = raw
        self._sound = sound
        self._pieces: list[tuple[int, int, bytes]] = []

    def change(self, changes: Changes) -> None:
        sound = self._sound
        self._change(_Spot("", 0, len(sound) - len(sound.lstrip()), len(sound)), changes, ())

    def made(self) -> bytes:
        parts: list[bytes] = []
        at = 0
        for start, end, value in sorted(self._pieces):
            parts += (self._raw[at:start], value)
            at = end
        return b"".join((*parts, self._raw[at:]))

    def _change(self, where: _Spot, changes: Changes, path: tuple[str, ...]) -> None:
        opening = self._sound[where.value : where.value + 1]
        if opening == b"{":
            spots = list(self._members(where))
            more = [
                b"%b:%b" % (msgspec.json.encode(name), value)
                for name, value in changes.items()
                if isinstance(value, bytes) and not any(spot.name == name for spot in spots)
            ]
        elif opening == b"[":
            spots = list(self._entries(where))
            more = [value for name, value in changes.items() if name == MORE and isinstance(value, bytes)]
        else:
            return
        kept = self._spots(spots, changes, path)
        if more:
            at = spots[-1].end if spots else where.value + 1
            self._pieces.append((at, at, (b"," if kept else b"") + b",".join(more)))

    def _spots(self, spots: list[_Spot], changes: Changes, path: tuple[str, ...]) -> int:
        """Changes each spot, with the comma beside what is left out, and says how many are kept."""
        kept = 0
        for number, spot in enumerate(spots):
            change = changes.get(spot.name, changes.get(EACH, {}))
            place = (*path, str(spot.name))
            if not isinstance(change, dict):
                self.found.append(".".join(place))
            if change is None:
                if kept:
                    self._pieces.append((spots[number - 1].end, spot.end, b""))
                continue
            if not kept and number:
                self._pieces.append((spots[0].start, spot.start, b""))
            kept += 1
            if isinstance(change, bytes):
                self._pieces.append((spot.value, spot.end, change))
            elif change:
                self._change(spot, change, place)
        if spots and not kept:
            self._pieces.append((spots[0].start, spots[-1].end, b""))
        return kept

    def _members(self, where: _Spot) -> Iterator[_Spot]:
        values = _OBJECT.decode(memoryview(self._sound)[where.value : where.end])
        at = where.value + 1
        while key := _KEY.match(self._sound, at):
            name = _NAME.decode(key[1])
            at = self._end(key.end(), bytes(values[name]))
            yield _Spot(name, key.start(1), key.end(), at)

    def _entries(self, where: _Spot) -> Iterator[_Spot]:
        at = where.value + 1
        for number, value in enumerate(_LIST.decode(memoryview(self._sound)[where.value : where.end])):
            before = _BEFORE.match(self._sound, at)
            start = before.end() if before else at
            at = start + len(memoryview(value))
            yield _Spot(number, start, start, at)

    def _end(self, start: int, value: bytes) -> int:
        """Where the value ends that begins at `start`: `value`, unless its name comes once more later."""
        sound = self._sound
        end = start + len(value)
        if sound.startswith(value, start) and sound[end : end + 1] in _AFTER:
            return end
        at, depth = start, 0
        while at == start or depth:
            token = _TOKEN.search(sound, at)
            at, depth = (token.end(), depth + _DEPTH.get(token[0], 0)) if token else (len(sound), 0)
        return at
