"""System prompt and conversation."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients import gemini_rules
from dialects.chat.asking import Json, ask, assistant, result, text, use, user
from dialects.gemini.contents_gemini import called, calls, model, parts_of, responded, thought, users, words
from dialects.gemini.targets_gemini import called as asked
from dialects.gemini.targets_gemini import newer, notes, older, said, sent, target
from dialects.gemini.view_gemini import GeminiView
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.request import call
from dragoman.dialects.gemini.signatures import Mark
from dragoman.dialects.gemini.turns import BEGIN
from dragoman.messages.errors import ApiError
from dragoman.messages.instructions import CONTINUE
from dragoman.messages.request import decode
from histories import bodies, growing

HEADER = "x-anthropic-billing-header: cc_version=2.1.329.1; cc_entrypoint=cli; cch=71fea;"
EPHEMERAL = {"type": "ephemeral"}
slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])


TARGETS = [
    target(),
    older(),
    newer(),
    target(system="user", facts={"call_signatures": True}),
    target(facts={"tools": False, "vision": False}),
]


def ids(to: Target | None = None, **fields: Any) -> frozenset[str]:
    return asked(to, **fields).recall.ids


# System


@pytest.mark.failure(1, 3)
def test_the_system_prompt_is_the_instruction() -> None:
    blocks = [text(HEADER), text("One.", citations=[]), text(" "), text('"Two" \n 😀', cache_control=EPHEMERAL)]
    body = sent(system=blocks)
    assert body["systemInstruction"] == {"parts": [words('One.\n\n"Two" \n 😀')]}
    assert body["contents"] == [users(words("Hello."))]
    assert notes(system=blocks) == [("ignored", "cache_control", "")]
    assert sent(system="Be brief.")["systemInstruction"] == {"parts": [words("Be brief.")]}
    for nothing in ([], HEADER, None):
        assert "systemInstruction" not in sent(system=nothing)


def test_the_system_prompt_is_the_users_where_the_model_knows_no_other() -> None:
    to = target(system="user")
    assert "systemInstruction" not in sent(to, system="Be brief.")
    assert said(to, system="Be brief.") == [users(words("Be brief."), words("Hello."))]
    begun = said(to, system="Be brief.", messages=[assistant(text("x")), user(text("y"))])
    assert begun == [users(words("Be brief.")), model(words("x")), users(words("y"))]
    assert said(to) == [users(words("Hello."))]


@pytest.mark.failure(4)
def test_system_turns_inside_the_conversation_stand_behind_responses() -> None:
    messages = [*calls("1"), {"role": "system", "content": [text("Note."), text("More.")]}, user(result("1"))]
    reminder = words("<system-reminder>\nNote.\n\nMore.\n</system-reminder>")
    assert said(messages=messages)[2:] == [users(responded(), reminder)]


# Roles


@pytest.mark.failure(6)
def test_empty_text_is_dropped() -> None:
    messages = [user(text(""), text("Go."), text(" \n")), assistant(text(""), use("1")), user(result("1"))]
    assert said(messages=messages) == [users(words("Go.")), model(called()), users(responded())]
    for empty in ({"messages": [user(text(" "))]}, {"system": "x", "messages": []}):
        for to in (target(), target(system="user")):
            with pytest.raises(ApiError, match="at least one message"):
                sent(to, **empty)
    assert said(messages=[user(text("x"), {"type": "thinking", "thinking": "?"})]) == [users(words("x"))]
    with pytest.raises(ApiError, match="at least one message"):
        sent(messages=[user({"type": "thinking", "thinking": "?"})])


def test_every_text_is_a_part() -> None:
    messages = [user(text("One."), text("Two.")), assistant(text("Three."), text("Four.")), user(text("x"))]
    assert said(messages=messages) == [
        users(words("One."), words("Two.")),
        model(words("Three."), words("Four.")),
        users(words("x")),
    ]


def test_roles_take_turns_also_where_a_turn_has_nothing_to_say() -> None:
    mute = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    messages = [user(text("a")), assistant(mute), user(text("b")), assistant(text("c")), user(text(" "))]
    messages += [assistant(use("1")), user(result("1"))]
    assert said(messages=messages) == [
        users(words("a"), words("b")),
        model(words("c"), called()),
        users(responded()),
    ]
    assert ("ignored", "turn.empty", "messages.1") in notes(messages=messages)


def test_a_conversation_never_begins_with_an_answer() -> None:
    messages = [assistant(text("x")), user(text("y"))]
    assert said(messages=messages) == [users(words(BEGIN)), model(words("x")), users(words("y"))]
    assert notes(messages=messages) == [("changed", "turn.first", "messages")]


@pytest.mark.failure(8)
def test_an_answer_that_the_caller_began_is_continued_by_instruction() -> None:
    messages = [user(text("x")), assistant(text("Dear "))]
    assert said(messages=messages)[1:] == [model(words("Dear ")), users(words(CONTINUE))]
    assert notes(messages=messages) == [("changed", "prefill.instructed", "messages")]
    for nothing in (text(" "), thought(Mark("empty", "S"))):
        assert said(messages=[user(text("x")), assistant(nothing)]) == [users(words("x"))]


def test_breakpoints_and_citations_are_left_out() -> None:
    cited = text("green", citations=[{"type": "char_location", "cited_text": "green"}])
    messages = [user(text("x", cache_control=EPHEMERAL)), assistant(cited), user(text("y", citations=[]))]
    assert "cache_control" not in json.dumps(sent(messages=messages, cache_control=EPHEMERAL))
    assert notes(messages=messages) == [("ignored", "cache_control", ""), ("ignored", "text.citations", "")]
    assert notes(cache_control=EPHEMERAL) == [("ignored", "cache_control", "")]
    marked = [*calls("a"), user(result("a", cache_control=EPHEMERAL))]
    inside = [*calls("a"), user(result("a", [text("x", cache_control=EPHEMERAL)]))]
    used = [user(text("x")), assistant(use("a", cache_control=EPHEMERAL)), user(result("a"))]
    for each in (marked, inside, used):
        assert notes(messages=each) == [("ignored", "cache_control", "")]


# Calls and results


@pytest.mark.failure(13, 14, 52)
def test_responses_come_first_in_the_order_of_the_calls() -> None:
    messages = [
        user(text("x")),
        assistant(text("See."), use("a", input_={"n": 1}), use("b", name="time")),
        user(text("By the way,"), result("b", "two"), text("hurry."), result("a", [text("o"), text("ne")])),
    ]
    two = {"functionResponse": {"name": "time", "response": {"output": "two"}}}
    assert said(messages=messages)[1:] == [
        model(words("See."), called(args={"n": 1}), called(name="time")),
        users(responded("o\nne"), two, words("By the way,"), words("hurry.")),
    ]


def test_parts_keep_the_order_of_their_blocks() -> None:
    parts = parts_of(use("a"), text("Late words."), use("b"), then=user(result("a"), result("b")))
    assert parts == [called(), words("Late words."), called()]


@pytest.mark.failure(14, 52)
@pytest.mark.parametrize("content", ["", " \n", [], None, [text("")]])
def test_an_empty_result_is_still_a_response(content: Any) -> None:
    assert said(messages=[*calls("a"), user(result("a", content))])[2] == users(responded("(no output)"))
    del (block := result("a"))["content"]
    assert said(messages=[*calls("a"), user(block)])[2] == users(responded("(no output)"))
    spoken = result("a", [text(""), text("x"), text("")])
    assert said(messages=[*calls("a"), user(spoken)])[2] == users(responded("x"))


@pytest.mark.failure(52)
def test_a_text_result_travels_as_it_is_written() -> None:
    spelled = b'"\\u00fc \\n {\\"$ref\\": 1} \xf0\x9f\x98\x80"'
    raw = ask(messages=[*calls("a"), user(result("a", [text("HERE")]))]).raw.replace(b'"HERE"', spelled)
    assert b'"response":{"output":%b}' % spelled in call(decode(raw), target()).body


@pytest.mark.failure(17)
def test_a_failure_is_an_error() -> None:
    for content in ("no such file", [text("no such file")]):
        failed = result("a", content, is_error=True)
        assert said(messages=[*calls("a"), user(failed)])[2] == users(responded("no such file", key="error"))


@pytest.mark.failure(18)
def test_orphans_are_mended() -> None:
    messages = [*calls("a", "b"), user(result("b"), result("lost", "late"), text("Go on."))]
    parts = said(messages=messages)[2]["parts"]
    assert parts[:2] == [responded("[no result: interrupted]"), responded()]
    assert "late" in json.dumps(parts[2])


@pytest.mark.failure(18)
def test_calls_at_the_end_get_responses_too() -> None:
    messages = [user(text("x")), assistant(text("y"), use("a"), use("b"))]
    assert said(newer(), messages=messages)[2] == users(
        responded("[no result: interrupted]", id_="a"), responded("[no result: interrupted]", id_="b")
    )
    assert notes(messages=messages) == [("changed", "tool_result.missing", "messages")]


@pytest.mark.failure(15)
def test_blocks_of_other_types_in_a_result_become_text() -> None:
    content = [
        {"type": "tool_reference", "tool_name": "WebFetch"},
        {"type": "search_result", "title": "T", "source": "https://example.org", "content": [text("found")]},
        {"type": "browser_state", "tabs": []},
    ]
    expected = "[Loaded tool: WebFetch]\n[Search result: T (https://example.org)]\nfound\n[browser_state]"
    assert said(messages=[*calls("a"), user(result("a", content))])[2] == users(responded(expected))
    alone = {"type": "tool_reference", "tool_name": "Read"}
    assert said(messages=[*calls("a"), user(result("a", [alone]))])[2] == users(responded("[Loaded tool: Read]"))
    wrapped = result("a") | {"content": text("one block")}
    assert said(messages=[*calls("a"), user(wrapped)])[2] == users(responded("one block"))


def test_tool_input_travels_as_it_is_written() -> None:
    spelled = b'{ "b":1e2, "a":"\\u00fc\\n", "cache_control":{"type":"ephemeral"} }'
    raw = ask(messages=[*calls("a"), user(result("a"))]).raw.replace(b'"input": {}', b'"input": ' + spelled)
    assert b'"functionCall":{"name":"weather","args":%b}' % spelled in call(decode(raw), target()).body


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    ("given", "made"), [([1], {"input": [1]}), ("x", {"input": "x"}), (None, {}), (7, {"input": 7})]
)
def test_tool_input_that_is_no_object_becomes_one(given: Any, made: Json) -> None:
    block = {"type": "tool_use", "id": "a", "name": "weather", "input": given}
    messages = [user(text("x")), assistant(block), user(result("a"))]
    assert said(messages=messages)[1] == model(called(args=made))
    assert notes(messages=messages) == [("changed", "tool_use.input", "messages.1.content.0")]
    del block["input"]
    assert said(messages=messages)[1] == model(called())


@pytest.mark.failure(49, 64)
def test_ids_go_only_to_models_that_know_them() -> None:
    written = ["toolu_1", "call.x:0", "t" * 64, "t" * 65, "call_1__thought__" + "Zg" * 40]
    messages = [*calls(*written), user(*(result(id_) for id_ in written))]
    answered = said(newer(), messages=messages)
    made = [part["functionCall"]["id"] for part in answered[1]["parts"]]
    assert made == [part["functionResponse"]["id"] for part in answered[2]["parts"]]
    assert made[0::2][:2] == ["toolu_1", "t" * 64]
    assert len(set(made)) == len(written)
    assert all(len(id_) <= 64 and id_.replace("_", "").isalnum() for id_ in made)
    assert '"id"' not in json.dumps(said(messages=messages))
    assert ids(messages=messages) == set(written)


def test_names_are_those_that_the_model_was_told() -> None:
    long = "mcp__" + "x" * 80
    messages = [user(text("x")), assistant(use("a", name=long), use("b", name=long)), user(result("a"), result("b"))]
    answered = said(messages=messages)
    made = {part["functionCall"]["name"] for part in answered[1]["parts"]}
    assert made == {part["functionResponse"]["name"] for part in answered[2]["parts"]}
    assert [len(name) for name in made] == [64]


def test_what_anthropic_ran_before_becomes_text() -> None:
    earlier = [
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srv",
            "content": [{"type": "web_search_result", "url": "u"}],
            "cache_control": EPHEMERAL,
        },
        text("Found."),
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    ]
    messages = [user(text("x")), assistant(*earlier), user(text("y"))]
    assert said(messages=messages)[1] == model(
        words('[Called web_search: {"query": "x"}]'),
        words("[Web search results]\n- untitled: u"),
        words("Found."),
        words("[image]"),
    )
    assert notes(messages=messages) == [
        ("changed", "block.as_text", "messages.1.content.0"),
        ("ignored", "cache_control", ""),
        ("changed", "block.as_text", "messages.1.content.1"),
        ("lost", "block.as_text", "messages.1.content.3"),
    ]


def test_a_model_without_tools_reads_what_was_called() -> None:
    to = target(facts={"tools": False, "call_signatures": True, "result_media": True})
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    messages = [
        user(text("x")),
        assistant(thought(Mark("call", "S")), text("Let me see."), use("1"), use("2"), use("3")),
        user(result("1", [text("Sun.")]), result("2", "No.", is_error=True), result("3", [picture])),
    ]
    assert said(to, messages=messages)[1:] == [
        model(words("Let me see."), *[words("[Called weather: {}]")] * 3),
        users(
            words("[Result of a tool]\nSun."),
            words("[Result of a tool]\nError: No."),
            words("[Result of a tool]\n[image 1 of the tool results]: see below"),
            words("[image 1 of the tool results]:"),
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ),
    ]
    assert ids(to, messages=messages) == {"1", "2", "3"}
    assert ("ignored", "thinking.dropped", "") in notes(to, messages=messages)
    assert said(to, messages=messages[:2])[-1] == users(words(CONTINUE))


# Laws


@slow
@given(made=bodies(), to=st.sampled_from(TARGETS))
@pytest.mark.failure(13, 14, 52)
def test_any_history_becomes_a_legal_conversation(made: tuple[Json, list[str]], to: Target) -> None:
    body, texts = made
    made_call = asked(to, **body)
    assert asked(to, **body) == made_call
    view = GeminiView(made_call.body)
    gemini_rules.check({"contents": view.body["contents"]}, to.model)
    view.check_pairs()
    for each in texts:
        assert view.text.count(each) == (1 if each in json.dumps(body, ensure_ascii=False) else 0)
    assert "<thought" not in view.text


@slow
@given(pair=growing(), to=st.sampled_from(TARGETS))
def test_append_only(pair: tuple[Json, Json], to: Target) -> None:
    before, after = (GeminiView(asked(to, **body).body) for body in pair)
    assert after.items[: len(before.history)] == before.history
    assert after.around == before.around
