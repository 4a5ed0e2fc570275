"""A byte that is no UTF-8, anywhere in a request: it is read as U+FFFD is, by whoever looks, and is never our crash."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from dialects.anthropic.asking_messages import NEWEST
from dialects.anthropic.encoder_anthropic import AnthropicEncoder
from dialects.chat.encoder_chat import ChatEncoder
from dialects.gemini.encoder_gemini import GeminiEncoder
from dialects.responses.encoder_responses import ResponsesEncoder
from dragoman.dialects import DIALECTS
from dragoman.dialects.contract import Call, Target
from dragoman.messages import decoding
from dragoman.messages.body import Body
from dragoman.messages.errors import ApiError
from dragoman.messages.known import Known
from dragoman.messages.notes import Note
from dragoman.messages.request import Request
from dragoman.messages.state import pack

LARGE = 12_000
FOLDED: dict[str, Any] = {"quirks": {"mid_system": "fold", "thinking_history": "drop"}, "facts": NEWEST}
ENCODERS: list[tuple[Any, dict[str, Any]]] = [
    (ChatEncoder(), {}),
    (ResponsesEncoder(), {}),
    (GeminiEncoder(), {}),
    (AnthropicEncoder(), {}),
    (AnthropicEncoder(), FOLDED),
]
IDS = ["chat", "responses", "gemini", "anthropic", "anthropic that folds"]


def turns(count: int) -> Iterator[dict[str, Any]]:
    """A history in which there is something to look at; `~` is where a byte may be broken."""
    thought = {"type": "thinking", "thinking": "t~", "signature": "s~"}
    sealed = {"type": "redacted_thinking", "data": pack("chat", "lab", {"t": "x"}) + "~"}
    search = {"type": "server_tool_use", "id": "srv~", "name": "web_search", "input": {"query": "q~"}}
    result = {"type": "web_search_result", "url": "http://a.b/~", "title": "t~", "encrypted_content": "", "x": "~"}
    found = {"type": "web_search_tool_result", "tool_use_id": "srv~", "content": [result]}
    cited = [{"type": "web_search_result_location", "cited_text": "c~", "encrypted_index": ""}]
    for number in range(count):
        call = {"type": "tool_use", "id": f"call{number}~", "name": "T~", "input": {"a": "in~"}}
        yield {"role": "user", "content": [{"type": "text", "text": f"u~{number}"}]}
        text = {"type": "text", "text": " ~", "citations": cited}
        yield {"role": "assistant", "content": [thought, sealed, search, found, text, call]}
        answer = {"type": "tool_result", "tool_use_id": f"call{number}~", "content": "r~"}
        yield {"role": "user", "content": [answer, {"type": "new~", "text": "n~"}]}
        yield {"role": "system", "content": [{"type": "text", "text": "sys~"}]}
        yield {"role": "assistant", "content": "said~"}
    yield {"role": "user", "content": "last~"}


def template(count: int, size: int) -> bytes:
    """`size`: of the tools and of the prompt."""
    tool = {"name": "T~", "description": "d~" + "x" * size, "input_schema": {"type": "object", "title": "~"}}
    body = {
        "model": "m~",
        "max_tokens": 2000,
        "system": [{"type": "text", "text": "p~" + "y" * size}],
        "messages": list(turns(count)),
        "tools": [tool],
        "tool_choice": {"type": "auto", "x": "~"},
        "thinking": {"type": "disabled~", "display": "~"},
        "output_config": {"effort": "high~", "x~": 1},
        "context_management": {"edits": [{"type": "clear_thinking_~"}]},
        "metadata": {"user_id": "user_session_~"},
        "stop_sequences": ["stop~"],
        "container~": "~",
    }
    return json.dumps(body).encode()


def broken(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The body with one byte broken, and the same with U+FFFD there, for each place."""
    pieces = raw.split(b"~")
    for number in range(1, len(pieces)):
        before, behind = b"".join(pieces[:number]), b"".join(pieces[number:])
        yield before + b"\xff" + behind, before + "\ufffd".encode() + behind


def told(raw: bytes, *, counting: bool = False) -> tuple[Any, ...]:
    """All that somebody can look at."""
    request = Request(raw, counting)
    head = request.model, request.thinks, request.session, request.stream, request.max_tokens
    outline = request.outline
    return *head, request.body, outline and [turn.role for turn in outline.messages]


def called(raw: bytes, target: Target, name: str) -> tuple[str, tuple[Note, ...]] | str:
    try:
        made: Call = DIALECTS[name].call(Request(raw), target)
    except ApiError as error:
        return error.message
    notes = tuple(note for note in made.notes if note.code != "unicode.repaired")
    return made.body.decode("utf-8", "replace"), notes


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known yet."""
    monkeypatch.setattr(decoding, "_KNOWN", Known())


@pytest.mark.parametrize("size", [0, LARGE])
@pytest.mark.parametrize("counting", [False, True])
@pytest.mark.usefixtures("memory")
def test_it_is_read_as_its_replacement(size: int, *, counting: bool) -> None:
    for bad, sound in broken(template(1, size)):
        assert told(bad, counting=counting) == told(sound, counting=counting)


@pytest.mark.parametrize("size", [0, LARGE])
@pytest.mark.parametrize(("encoder", "more"), ENCODERS, ids=IDS)
@pytest.mark.usefixtures("memory")
def test_it_goes_on_as_its_replacement(encoder: Any, more: dict[str, Any], size: int) -> None:
    target = aimed(encoder, more)
    for bad, sound in broken(template(1, size)):
        assert called(bad, target, encoder.name) == called(sound, target, encoder.name)


@pytest.mark.parametrize(("encoder", "more"), ENCODERS, ids=IDS)
@pytest.mark.usefixtures("memory")
def test_what_was_passed_on_is_known_with_its_broken_byte(
    encoder: Any, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation that another language gets later, and goes on."""
    target = aimed(encoder, more)
    passing = aimed(AnthropicEncoder(), {})
    begun, grown = broken(template(1, LARGE)), broken(template(2, LARGE))
    for (bad, _), (longer, sound) in zip(begun, grown, strict=False):
        for raw in (bad, longer):
            called(raw, passing, "anthropic")
        kept = called(longer, target, encoder.name)
        monkeypatch.setattr(decoding, "_KNOWN", Known())
        assert kept == called(sound, target, encoder.name)
        assert isinstance(Request(longer).body, Body)


def aimed(encoder: Any, more: dict[str, Any]) -> Target:
    target: Target = encoder.call().target
    quirks = structs.replace(target.quirks, **more.get("quirks", {}))
    return structs.replace(target, quirks=quirks, facts=structs.replace(target.facts, **more.get("facts", {})))
