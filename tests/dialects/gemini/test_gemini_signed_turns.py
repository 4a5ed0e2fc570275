"""Thought signatures of earlier answers: each goes back on its own part, to those who made it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients import gemini_rules
from dialects.chat.asking import Json, assistant, result, text, use, user
from dialects.gemini.contents_gemini import called, hidden, model, parts_of, thought, words
from dialects.gemini.targets_gemini import called as asked
from dialects.gemini.targets_gemini import newer, notes, said, sent, target
from dialects.gemini.view_gemini import GeminiView
from dragoman.dialects.gemini.signatures import SENTINEL, Mark, seal
from dragoman.messages import state

slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])


@pytest.mark.failure(48)
def test_of_parallel_calls_the_one_that_was_signed_is_signed() -> None:
    then = user(result("a"), result("b"))
    one = parts_of(thought(Mark("call", "S1")), use("a"), use("b"), to=newer(), then=then)
    assert one == [called("S1", id_="a"), called(id_="b")]
    other = parts_of(use("a"), hidden(Mark("call", "S2")), use("b"), to=newer(), then=then)
    assert other == [called(SENTINEL, id_="a"), called("S2", id_="b")]
    older = parts_of(use("a"), hidden(Mark("call", "S2")), use("b"), then=then)
    assert older == [called(), called("S2")]


@pytest.mark.failure(48)
def test_a_conversation_that_another_model_began_gets_the_sentinel_once_a_turn() -> None:
    foreign = {"type": "thinking", "thinking": "Claude's.", "signature": "EqoBCkYIB"}
    messages = [
        user(text("x")),
        assistant(foreign, text("y"), use("a"), use("b")),
        user(result("a"), result("b")),
        assistant(use("c")),
        user(result("c"), text("z")),
        assistant(thought(Mark("call", "S")), use("d"), use("e")),
        user(result("d"), result("e")),
    ]
    answered = said(newer(), messages=messages)
    assert [part.get("thoughtSignature") for part in answered[1]["parts"]] == [None, SENTINEL, None]
    assert [part.get("thoughtSignature") for part in answered[3]["parts"]] == [SENTINEL]
    assert [part.get("thoughtSignature") for part in answered[5]["parts"]] == ["S", None]
    assert notes(newer(), messages=messages) == [("ignored", "thinking.dropped", "")]


@pytest.mark.failure(48, 50)
def test_signatures_survive_a_switch_away_and_back_and_serve_only_who_made_them() -> None:
    messages = [
        user(text("x")),
        assistant(thought(Mark("call", "HERE")), use("a")),
        user(result("a")),
        assistant(thought(Mark("call", "THERE"), scope="vertex"), use("b")),
        user(result("b")),
    ]
    assert [said(newer(), messages=messages)[turn] for turn in (1, 3)] == [
        model(called("HERE", id_="a")),
        model(called(SENTINEL, id_="b")),
    ]
    elsewhere = target(facts={"call_signatures": True}, scope="vertex")
    assert [said(elsewhere, messages=messages)[turn] for turn in (1, 3)] == [
        model(called(SENTINEL)),
        model(called("THERE")),
    ]
    older = target(scope="other")
    assert "thoughtSignature" not in json.dumps(said(older, messages=messages))


@pytest.mark.failure(48)
def test_refused_signatures_stay_away() -> None:
    messages = [
        user(text("x")),
        assistant(thought(Mark("empty", "S"), Mark("call", "T")), use("a")),
        user(result("a")),
    ]
    assert said(newer(signatures=False), messages=messages)[1] == model(called(SENTINEL, id_="a"))
    assert said(target(signatures=False), messages=messages)[1] == model(called())
    assert notes(target(signatures=False), messages=messages) == [("ignored", "thinking.dropped", "")]


FOREIGN = [
    {"type": "thinking", "thinking": "Claude's.", "signature": "EqoBCkYIB"},
    {"type": "thinking", "thinking": "Unsigned.", "signature": ""},
    {"type": "thinking", "thinking": "Unsigned too."},
    {"type": "thinking", "thinking": "Without state.", "signature": "dragoman1.none.0.e30"},
    {"type": "redacted_thinking", "data": "EqoBCkYIC"},
    thought(Mark("text", "S", 0, 1), scope="other"),
    {"type": "redacted_thinking", "data": state.pack("chat", "lab", [["text", "S", 0, 1]])},
    {"type": "redacted_thinking", "data": state.pack("gemini", "lab", {"text": "S"})},
    {"type": "redacted_thinking", "data": state.pack("gemini", "lab", [["text", "", 0, 1], ["text", "S", -1, 1]])},
    thought(),
]


@pytest.mark.failure(9, 50, 131)
@pytest.mark.parametrize("block", FOREIGN)
def test_thoughts_of_others_never_reach_an_upstream(block: Json) -> None:
    messages = [user(text("x")), assistant(block, text("y")), user(text("z"))]
    assert said(messages=messages)[1] == model(words("y"))
    assert notes(messages=messages) == [("ignored", "thinking.dropped", "")]


@pytest.mark.failure(48)
def test_a_signed_text_is_a_part_of_its_own() -> None:
    assert parts_of(thought(Mark("text", "S", 0, 5)), text("Hello 😀 you."), text("More.")) == [
        words("Hello", "S"),
        words(" 😀 you."),
        words("More."),
    ]
    assert parts_of(thought(Mark("text", "S", 0, 5)), text("Hello")) == [words("Hello", "S")]
    assert parts_of(thought(Mark("text", "S", 0, 9)), text("Hello")) == [words("Hello", "S")]


@pytest.mark.failure(48)
def test_signatures_behind_a_text_go_back_into_it() -> None:
    later = hidden(Mark("back", "S1", 6, 1), Mark("back", "S2", 11, 0), Mark("call", "S3"))
    assert parts_of(text("Hello 😀 you"), later, use("a"), then=user(result("a"))) == [
        words("Hello "),
        words("😀", "S1"),
        words(" you"),
        {"text": "", "thoughtSignature": "S2"},
        called("S3"),
    ]
    both = [thought(Mark("text", "S1", 0, 2)), text("abcdef"), thought(Mark("back", "S2", 4, 2)), text("ghi")]
    assert parts_of(*both) == [words("ab", "S1"), words("cd"), words("ef", "S2"), words("ghi")]


@pytest.mark.failure(48)
def test_signatures_whose_text_is_not_there_any_more_are_dropped() -> None:
    shortened = [text("abc"), thought(Mark("back", "S1", 2, 5), Mark("back", "S2", 7, 5), Mark("back", "S3", 1, 2))]
    assert parts_of(*shortened) == [words("a"), words("bc", "S3")]
    clipped = [text("abc"), thought(Mark("back", "S1", 2, 5), Mark("back", "S2", 9, 0))]
    assert parts_of(*clipped) == [words("ab"), words("c", "S1"), {"text": "", "thoughtSignature": "S2"}]
    for lonely in (
        [thought(Mark("back", "S", 0, 2)), text("ab")],
        [text("ab"), thought(Mark("text", "S", 0, 2))],
        [text("ab"), thought(Mark("call", "S"))],
        [thought(Mark("text", "S", 0, 2)), {"type": "container_upload", "file_id": "f"}],
        [thought(Mark("empty", "S"))],
    ):
        messages = [user(text("x")), assistant(*lonely), user(text("y"))]
        assert "thoughtSignature" not in json.dumps(said(messages=messages))
        assert ("ignored", "thinking.dropped", "") in notes(messages=messages)
    moved = [thought(Mark("text", "S", 0, 2)), use("a"), text("ab")]
    assert parts_of(*moved, then=user(result("a"))) == [called(), words("ab")]


@pytest.mark.failure(48)
def test_of_two_signatures_for_one_part_the_last_counts() -> None:
    calls_ = [thought(Mark("call", "S1")), hidden(Mark("call", "S2")), use("a")]
    assert parts_of(*calls_, then=user(result("a"))) == [called("S2")]
    texts = [thought(Mark("text", "S1", 0, 1)), hidden(Mark("text", "S2", 0, 1)), text("a")]
    assert parts_of(*texts) == [words("a", "S2")]
    for blocks in (calls_, texts):
        messages = [user(text("x")), assistant(*blocks)]
        assert ("ignored", "thinking.dropped", "") in notes(messages=messages)


@pytest.mark.failure(48)
def test_an_empty_part_stands_where_it_stood() -> None:
    blocks = [text("a"), thought(Mark("empty", "S1")), text("b"), hidden(Mark("empty", "S2"), Mark("call", "S3"))]
    assert parts_of(*blocks, use("a"), then=user(result("a"))) == [
        words("a"),
        {"text": "", "thoughtSignature": "S1"},
        words("b"),
        {"text": "", "thoughtSignature": "S2"},
        called("S3"),
    ]


# Laws


class Answer:
    """Parts as the model sends them, and the blocks that the caller gets of them: what the reader does."""

    def __init__(self, parts: list[tuple[str, str, str | None]]) -> None:
        self.blocks: list[Json] = []
        self.parts: list[Json] = []  # what has to come back
        self._waiting: list[Mark] = []
        self._unsure: list[Json] = []  # parts whose marks wait
        for kind, word, signature in parts:
            getattr(self, kind)(word, signature)
        if self._last == "thinking":
            self._sign()
        for part in self._unsure:
            del part["thoughtSignature"]
        self.parts = merged(self.parts)

    @property
    def _last(self) -> str:
        return self.blocks[-1]["type"] if self.blocks else ""

    def _sign(self) -> None:
        if self._waiting:
            if self._last == "thinking":
                self.blocks[-1]["signature"] = seal(self._waiting, "lab")
            else:
                self.blocks.append(hidden(*self._waiting))
        self._waiting, self._unsure = [], []

    def _part(self, part: Json, signature: str | None, mark: Mark) -> None:
        self.parts.append(part)
        if signature:
            part["thoughtSignature"] = signature
            self._waiting.append(mark)
            self._unsure.append(part)

    def thought(self, said: str, signature: str | None) -> None:
        if self._last != "thinking":
            self.blocks.append({"type": "thinking", "thinking": "", "signature": ""})
        self.blocks[-1]["thinking"] += said
        if signature:
            self._part({"text": ""}, signature, Mark("empty", signature))

    def text(self, said: str, signature: str | None) -> None:
        if self._last == "text":
            start = len(self.blocks[-1]["text"])
            self._part({"text": said}, signature, Mark("back", signature or "", start, len(said)))
        elif said:
            self._part({"text": said}, signature, Mark("text", signature or "", 0, len(said)))
            self._sign()
            self.blocks.append(text(""))
        elif signature:
            self._part({"text": ""}, signature, Mark("empty", signature))
        if said:
            self.blocks[-1]["text"] += said

    def call(self, said: str, signature: str | None) -> None:
        self._part(called(args={"n": said}), signature, Mark("call", signature or ""))
        self._sign()
        self.blocks.append(use(f"call_{len(self.blocks)}_{said}", input_={"n": said}))


def merged(parts: list[Json]) -> list[Json]:
    """Parts whose unsigned texts are one each; none is empty without a signature."""
    made: list[Json] = []
    for part in parts:
        plain = "text" in part and "thoughtSignature" not in part
        if plain and made and "text" in made[-1] and "thoughtSignature" not in made[-1]:
            made[-1] = words(made[-1]["text"] + part["text"])
        elif part != {"text": ""}:
            made.append(part)
    return made


@st.composite
def upstream_parts(draw: st.DrawFn) -> list[tuple[str, str, str | None]]:
    """Kind, text and signature of each part; something is said, and every signature is another."""
    kinds = draw(st.lists(st.sampled_from(["text", "text", "thought", "call", "empty"]), min_size=1, max_size=8))
    parts: list[tuple[str, str, str | None]] = []
    for number, kind in enumerate([*kinds, draw(st.sampled_from(["text", "call"]))]):
        signature = f"Sign{number:04}" if draw(st.booleans()) else None
        word = f"<{number}{draw(st.sampled_from(['', ' ü', '😀', ' ']))}"
        parts.append(("text", "", signature) if kind == "empty" else (kind, word, signature))
    return parts


def conversation(blocks: list[Json]) -> list[Json]:
    """A question, an answer, and the results of what it calls."""
    results = [result(block["id"]) for block in blocks if block["type"] == "tool_use"]
    return [user(text("x")), assistant(*blocks), user(*results, text("y"))]


@slow
@given(parts=upstream_parts())
@pytest.mark.failure(48)
def test_every_part_gets_its_own_signature_back(parts: list[tuple[str, str, str | None]]) -> None:
    answer = Answer(parts)
    body = sent(newer(), messages=conversation(answer.blocks))
    gemini_rules.check(body, "gemini-3.1-pro-preview")
    contents = said(messages=conversation(answer.blocks))
    assert merged(contents[1]["parts"]) == answer.parts
    assert all(part != {"text": ""} for part in contents[1]["parts"])


@slow
@given(parts=upstream_parts())
@pytest.mark.failure(48)
def test_signatures_change_nothing_but_where_a_text_is_cut(parts: list[tuple[str, str, str | None]]) -> None:
    """Also for a model that wants signatures, and for one that reads none of them."""
    messages = conversation(Answer(parts).blocks)
    unsigned = [(kind, word, None) for kind, word, _ in parts if word]
    plain = merged(said(messages=conversation(Answer(unsigned).blocks))[1]["parts"])
    for to in (target(), newer(), target(signatures=False), target(scope="other")):
        made = said(to, messages=messages)[1]["parts"]
        bare = [{name: value for name, value in part.items() if name != "thoughtSignature"} for part in made]
        for part in bare:
            part.get("functionCall", {}).pop("id", None)
        assert merged(bare) == plain
    signed = [part.get("thoughtSignature") for part in said(newer(), messages=messages)[1]["parts"]]
    firsts = [at for at, part in enumerate(said(newer(), messages=messages)[1]["parts"]) if "functionCall" in part]
    assert signed.count(SENTINEL) <= 1
    assert all(signed[at] for at in firsts[:1])


@slow
@given(parts=upstream_parts(), more=upstream_parts())
def test_a_signed_history_only_grows(
    parts: list[tuple[str, str, str | None]], more: list[tuple[str, str, str | None]]
) -> None:
    answer, next_answer = Answer(parts).blocks, Answer(more).blocks
    renamed = json.loads(json.dumps(next_answer).replace('"call_', '"later_'))
    start = conversation(answer)
    longer = [*start, *conversation(renamed)[1:]]
    before, after = (GeminiView(asked(newer(), messages=messages).body) for messages in (start, longer))
    assert after.items[: len(before.items)] == before.items
    after.check_pairs()
