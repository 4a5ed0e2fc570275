"""What hypothesis makes of good JSON and good bytes: types swapped, fields missing, nesting, odd text, huge numbers."""

import json
from typing import Any

from hypothesis import strategies as st

from answers import PROVOKING


class Verbatim:
    """JSON that no Python value would be written as."""

    def __init__(self, text: str) -> None:
        self.text = text


DEEP = 300
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    1e308,
    "",
    " ",
    "\n",
    "x" * 5000,
    "null",
    "a/b:c",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": None},
    {"type": "text"},
    {"type": None},
    {"type": "text", "text": None},
    {"type": "text", "text": {"a": [1]}},
    {"type": ["text"]},
    {"role": "user"},
    *PROVOKING,
    Verbatim("9" * 400),
    Verbatim("9" * 5000),
    Verbatim("-" + "9" * 5000),
    Verbatim("1e999999"),
    Verbatim("1e-999999"),
    Verbatim("0." + "3" * 3000),
    Verbatim("NaN"),
    Verbatim("-Infinity"),
    Verbatim('"\\ud83d"'),
    Verbatim('"\\udc00\\ud83d x"'),
    Verbatim('{"a":1,"a":2}'),
    Verbatim("[" * DEEP + "]" * DEEP),
    Verbatim('{"a":' * DEEP + "1" + "}" * DEEP),
    Verbatim("[" * 20_000 + "]" * 20_000),
    Verbatim("tru"),
]

PIECES = [b"\0", b"\xff", b"\r", b"\n\n", b"\r\n\r\n", b"data: ", b"data: {}\n\n", b"event: error\n", b"[", b'"', b"}"]


def written(value: Any, *, ascii_only: bool) -> bytes:
    """JSON, in which `Verbatim` stands as it is. Lone surrogates are written as escapes."""
    if isinstance(value, Verbatim):
        return value.text.encode()
    if isinstance(value, dict):
        pairs = [(written(name, ascii_only=ascii_only), written(value[name], ascii_only=ascii_only)) for name in value]
        fields = [name + b":" + each for name, each in pairs]
        return b"{" + b",".join(fields) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join([written(each, ascii_only=ascii_only) for each in value]) + b"]"
    text = json.dumps(value, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to everything inside."""
    found = [at] if at else []
    if isinstance(value, dict):
        for name, each in value.items():
            found += places(each, (*at, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            found += places(each, (*at, number))
    return found


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """A copy with up to four changes somewhere inside."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 4))):
        paths = places(value)
        if not paths:
            return draw(st.sampled_from(ODD))
        *way, last = draw(st.sampled_from(paths))
        inside = value
        for step in way:
            inside = inside[step]
        match draw(st.sampled_from(["odd", "odd", "odd", "gone", "other", "wrapped", "twice", "renamed"])):
            case "odd":
                odd = draw(st.sampled_from(ODD))
                inside[last] = odd if isinstance(odd, Verbatim) else json.loads(json.dumps(odd))
            case "gone":
                del inside[last]
            case "other":  # the value of another place
                inside[last] = _copied(found(value, draw(st.sampled_from(paths))))
            case "wrapped":
                inside[last] = [inside[last]] if draw(st.booleans()) else {"a": inside[last]}
            case "twice" if isinstance(inside, list):
                inside.insert(last, _copied(inside[last]))
            case "renamed" if isinstance(inside, dict):
                inside[draw(st.sampled_from(["", "type", "text", "id", "index", "Type", "\u2028"]))] = inside.pop(last)
            case _:
                pass
    return value


def found(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def scrambled(draw: st.DrawFn, raw: bytes, others: list[bytes]) -> bytes:
    """Bytes with up to four changes: cut, flipped, inserted, doubled, spliced with another."""
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        upto = min(len(raw), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["cut", "flip", "insert", "drop", "double", "splice", "newline"])):
            case "cut":
                raw = raw[:at]
            case "flip":
                raw = raw[:at] + bytes(byte ^ draw(st.integers(1, 255)) for byte in raw[at : at + 1]) + raw[at + 1 :]
            case "insert":
                raw = raw[:at] + draw(st.sampled_from(PIECES) | st.binary(max_size=20)) + raw[at:]
            case "drop":
                raw = raw[:at] + raw[upto:]
            case "double":
                raw = raw[:upto] + raw[at:upto] * draw(st.integers(1, 50)) + raw[upto:]
            case "splice":
                other = draw(st.sampled_from(others))
                raw = raw[:at] + other[draw(st.integers(0, len(other))) :]
            case _:
                raw = raw.replace(b"\n", draw(st.sampled_from([b"\r", b"\r\n", b"\n\n", b" "])))
    return raw
