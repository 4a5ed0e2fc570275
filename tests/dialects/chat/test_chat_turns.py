"""System prompt and conversation."""

import json
from typing import Any

import pytest

from dialects.chat.asking import (
    IMAGE,
    PDF,
    PNG,
    Json,
    assistant,
    called,
    notes,
    result,
    said,
    sent,
    target,
    text,
    use,
    user,
)
from dialects.tables import bad_images
from dragoman.dialects.chat.request import call
from dragoman.dialects.chat.turns import LOST_SIGNATURE
from dragoman.messages import state
from dragoman.messages.errors import ApiError
from dragoman.messages.instructions import CONTINUE
from dragoman.messages.request import decode

IMAGE_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
HEADER = "x-anthropic-billing-header: cc_version=2.1.329.1; cc_entrypoint=cli; cch=71fea;"


def calls(*ids: str) -> list[Json]:
    """A conversation that ends with calls of those ids."""
    return [user(text("Go.")), assistant(*(use(id_) for id_ in ids))]


# System


@pytest.mark.failure(1)
def test_the_attribution_line_does_not_reach_the_upstream() -> None:
    prompt = [text("You are Claude Code."), text("Be brief.")]
    first, second = (called(system=[text(HEADER.replace("71fea", each)), *prompt]).body for each in ("71fea", "0d00d"))
    assert first == second
    assert b"billing" not in first
    assert said(system=f"{HEADER}\nBe brief.")[0] == {"role": "system", "content": "Be brief."}
    assert said(system=HEADER)[0]["role"] == "user"


@pytest.mark.failure(3)
def test_system_as_text_or_blocks() -> None:
    assert said(system="Be brief.")[0] == {"role": "system", "content": "Be brief."}
    blocks = [text("One.", cache_control={"type": "ephemeral"}, citations=[]), text(" "), text("Two.")]
    assert said(system=blocks)[0] == {"role": "system", "content": [text("One."), text("Two.")]}
    assert said(target(content="string"), system=blocks)[0]["content"] == "One.\n\nTwo."
    assert notes(system=blocks) == [("ignored", "cache_control", "")]
    assert said(system=[])[0]["role"] == said(system=" \n")[0]["role"] == "user"


def test_the_role_of_the_system_prompt() -> None:
    assert said(target(system_role="developer"), system="x")[0]["role"] == "developer"
    assert said(target(facts={"system_role": "developer"}), system="x")[0]["role"] == "developer"
    to = target(system_role="developer", facts={"system_role": "system"})
    assert said(to, system="x")[0]["role"] == "system"


@pytest.mark.failure(4)
def test_system_turns_inside_the_conversation() -> None:
    messages = [*calls("1"), user(result("1")), {"role": "system", "content": [text("Note."), text("More.")]}]
    kept = said(target(mid_system="keep", system_role="developer"), messages=messages)
    assert [message["role"] for message in kept] == ["user", "assistant", "tool", "developer"]
    assert kept[-1]["content"] == [text("Note."), text("More.")]
    folded = said(messages=messages)
    assert [message["role"] for message in folded] == ["user", "assistant", "tool", "user"]
    assert folded[-1]["content"] == "<system-reminder>\nNote.\n\nMore.\n</system-reminder>"
    assert notes(messages=messages) == [("changed", "system.folded", "messages.3")]


# Text


@pytest.mark.failure(6)
def test_empty_text_is_dropped() -> None:
    messages = [
        user(text(""), text("Go."), text(" \n")),
        assistant({"type": "thinking", "thinking": "hm", "signature": ""}, text(""), use("1")),
        user(result("1")),
    ]
    body = said(messages=messages)
    assert body[0] == {"role": "user", "content": "Go."}
    assert body[1]["content"] == ""
    assert said(target(empty_content="null"), messages=messages)[1]["content"] is None
    assert "content" not in said(target(empty_content="omit"), messages=messages)[1]
    with pytest.raises(ApiError, match="at least one message"):
        called(messages=[user(text(" "))])
    with pytest.raises(ApiError, match="at least one message"):
        called(system="x", messages=[])


def test_several_texts_stay_apart_unless_the_server_wants_one() -> None:
    messages = [user(text("One."), text("Two."))]
    assert said(messages=messages)[0]["content"] == [text("One."), text("Two.")]
    assert said(target(content="string"), messages=messages)[0]["content"] == "One.\n\nTwo."
    mixed = said(target(content="string"), messages=[user(text("One."), IMAGE)])
    assert mixed[0]["content"] == [text("One."), IMAGE_PART]


def test_citations_of_earlier_answers_are_left_out() -> None:
    cited = text("So.", citations=[{"type": "char_location", "cited_text": "So"}])
    assert said(messages=[user(text("x")), assistant(cited), user(text("y"))])[1]["content"] == "So."
    assert notes(messages=[user(text("x")), assistant(cited), user(text("y"))]) == [("ignored", "text.citations", "")]


# Calls and results


@pytest.mark.failure(13, 14)
def test_results_come_first_together_and_once_for_each_call() -> None:
    messages = [
        *calls("a", "b"),
        user(text("By the way,"), result("b", "two"), text("hurry."), result("a", [text("o"), text("ne")])),
    ]
    assert said(messages=messages)[1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"type": "function", "id": id_, "function": {"name": "weather", "arguments": "{}"}} for id_ in "ab"
            ],
        },
        {"role": "tool", "content": "o\nne", "tool_call_id": "a"},
        {"role": "tool", "content": "two", "tool_call_id": "b"},
        {"role": "user", "content": [text("By the way,"), text("hurry.")]},
    ]


@pytest.mark.failure(14)
@pytest.mark.parametrize("content", ["", " \n", [], None, [text("")]])
def test_an_empty_result_is_still_a_result(content: Any) -> None:
    answered = said(messages=[*calls("a"), user(result("a", content))])
    assert answered[2] == {"role": "tool", "content": "(no output)", "tool_call_id": "a"}
    del (block := result("a"))["content"]
    assert said(messages=[*calls("a"), user(block)])[2]["content"] == "(no output)"


@pytest.mark.failure(17)
def test_a_failure_is_visible() -> None:
    answered = said(messages=[*calls("a", "b"), user(result("a", "no such file", is_error=True))])
    assert answered[2]["content"] == "Error: no such file"
    answered = said(messages=[*calls("a"), user(result("a", [], is_error=True))])
    assert answered[2]["content"] == "Error: (no output)"


@pytest.mark.failure(18)
def test_orphans_are_mended() -> None:
    messages = [*calls("a", "b"), user(result("b"), result("lost", "late"), text("Go on."))]
    answered = said(messages=messages)
    assert [(message["role"], message.get("tool_call_id")) for message in answered[1:]] == [
        ("assistant", None),
        ("tool", "a"),
        ("tool", "b"),
        ("user", None),
    ]
    assert answered[2]["content"] == "[no result: interrupted]"
    assert "late" in json.dumps(answered[-1])


@pytest.mark.failure(15)
def test_blocks_of_other_types_in_a_result_become_text() -> None:
    content = [
        {"type": "tool_reference", "tool_name": "WebFetch"},
        {"type": "search_result", "title": "T", "source": "https://example.org", "content": [text("found")]},
        {"type": "browser_state", "tabs": []},
        text("end", cache_control={"type": "ephemeral"}),
    ]
    answered = said(messages=[*calls("a"), user(result("a", content))])
    assert answered[2]["content"] == (
        "[Loaded tool: WebFetch]\n[Search result: T (https://example.org)]\nfound\n[browser_state]\nend"
    )


@pytest.mark.failure(16)
def test_pictures_in_results_follow_in_the_next_user_message() -> None:
    messages = [
        *calls("a", "b"),
        user(result("a", [text("See:"), IMAGE]), result("b", [IMAGE, PDF]), text("What is it?")),
    ]
    answered = said(target(files=True), messages=messages)
    assert [message["role"] for message in answered] == ["user", "assistant", "tool", "tool", "user"]
    assert answered[2]["content"] == "See:\n[image 1 of the tool results]: see the next message"
    assert answered[3]["content"] == (
        "[image 2 of the tool results]: see the next message\n[document 3 of the tool results]: see the next message"
    )
    file = {"type": "file", "file": {"filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
    assert answered[4]["content"] == [
        text("[image 1 of the tool results]:"),
        IMAGE_PART,
        text("[image 2 of the tool results]:"),
        IMAGE_PART,
        text("[document 3 of the tool results]:"),
        file,
        text("What is it?"),
    ]


def test_tool_input_travels_as_it_is_written() -> None:
    spelled = '{ "b":1e2, "a":"\\u00fc\\n", "cache_control":{"type":"ephemeral"} }'
    raw = json.dumps({"model": "m", "max_tokens": 5, "messages": [*calls("a"), user(result("a"))]})
    body = call(decode(raw.replace('"input": {}', f'"input": {spelled}').encode()), target()).body
    assert json.loads(body)["messages"][1]["tool_calls"][0]["function"]["arguments"] == spelled


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    ("given", "written"), [([1], '{"input":[1]}'), ("x", '{"input":"x"}'), (None, "{}"), (7, '{"input":7}')]
)
def test_tool_input_that_is_no_object_becomes_one(given: Any, written: str) -> None:
    block = {"type": "tool_use", "id": "a", "name": "weather", "input": given}
    messages = [user(text("x")), assistant(block), user(result("a"))]
    assert said(messages=messages)[1]["tool_calls"][0]["function"]["arguments"] == written
    assert notes(messages=messages) == [("changed", "tool_use.input", "messages.1.content.0")]
    del block["input"]
    assert said(messages=messages)[1]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.failure(64)
def test_ids_are_what_the_server_takes_in_call_and_result_alike() -> None:
    ids = ["toolu_1", "call.x:0", "t" * 60]
    messages = [*calls(*ids), user(*(result(id_) for id_ in ids))]
    for quirks in ({}, {"tool_id": "alphanumeric9"}, {"tool_id_limit": 16}):
        answered = said(target(**quirks), messages=messages)
        made = [call["id"] for call in answered[1]["tool_calls"]]
        assert made == [message["tool_call_id"] for message in answered[2:]]
        assert len(set(made)) == 3
        limit = 9 if "tool_id" in quirks else quirks.get("tool_id_limit", 40)
        assert all(len(id_) <= limit and id_.replace("_", "").isalnum() for id_ in made)
    assert called(messages=messages).recall.ids == set(ids)


def test_what_anthropic_ran_before_becomes_text() -> None:
    earlier = [
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srv",
            "content": [{"type": "web_search_result", "url": "u"}],
        },
        text("Found."),
    ]
    messages = [user(text("x")), assistant(*earlier), user(text("y"), {"type": "container_upload", "file_id": "f"})]
    answered = said(messages=messages)
    assert [part["text"] for part in answered[1]["content"]] == [
        '[Called web_search: {"query": "x"}]',
        "[Web search results]\n- untitled: u",
        "Found.",
    ]
    assert answered[2]["content"][1] == text("[Uploaded file: f]")
    assert {grade for grade, _, _ in notes(messages=messages)} == {"changed"}


# Images


@pytest.mark.failure(22)
def test_images_by_url() -> None:
    block = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    assert said(messages=[user(block)])[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    ]
    with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: .*base64"):
        called(target(image_urls=False), messages=[user(block)])


@bad_images
def test_images_that_cannot_be_sent_are_named(source: Any) -> None:
    for messages in ([user(text("x"), {"type": "image", "source": source})],):
        with pytest.raises(ApiError, match=r"messages\.0\.content\.1\.source") as caught:
            called(messages=messages)
        assert caught.value.status == 400


@pytest.mark.failure(20)
def test_a_model_without_vision_is_told_that_there_was_a_picture() -> None:
    omitted = "[image omitted: the model cannot see images]"
    for to in (target(images=False), target(facts={"vision": False})):
        assert said(to, messages=[user(text("x"), IMAGE)])[0]["content"] == [text("x"), text(omitted)]
        assert notes(to, messages=[user(text("x"), IMAGE)]) == [("lost", "image.no_vision", "messages.0.content.1")]
        answered = said(to, messages=[*calls("a"), user(result("a", [IMAGE]))])
        assert answered[2:] == [{"role": "tool", "content": omitted, "tool_call_id": "a"}]


def test_a_picture_in_an_answer_is_lost_with_a_note() -> None:
    messages = [user(text("x")), assistant(text("y"), IMAGE, PDF), user(text("z"))]
    assert said(messages=messages)[1]["content"] == [
        text("y"),
        text("[image]"),
        text("[Document: Report]\n[application/pdf]"),
    ]
    assert notes(messages=messages) == [
        ("lost", "block.as_text", "messages.1.content.1"),
        ("lost", "block.as_text", "messages.1.content.2"),
    ]


# Documents


@pytest.mark.failure(21)
def test_pdf_documents_as_files() -> None:
    to = target(files=True)
    file = {"type": "file", "file": {"filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
    assert said(to, messages=[user(PDF)])[0]["content"] == [file]
    block = PDF | {"title": None, "context": "Draft.", "citations": {"enabled": True}}
    assert said(target(facts={"files": True}), messages=[user(block)])[0]["content"] == [
        text("[Context of the document: Draft.]"),
        {"type": "file", "file": file["file"] | {"filename": "document.pdf"}},
    ]
    assert notes(to, messages=[user(block)]) == [("changed", "document.citations", "messages.0.content.0")]
    assert notes(to, messages=[user(PDF | {"citations": {"enabled": False}})]) == []


@pytest.mark.failure(21)
@pytest.mark.parametrize("to", [target(), target(files=True, facts={"files": False})])
def test_pdf_documents_that_cannot_be_read_are_named_and_do_not_end_the_conversation(to: Any) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.1: .* no PDF"):
        called(to, messages=[user(text("x"), PDF)])
    later = [user(text("x"), PDF), assistant(text("Read.")), user(text("More."))]
    omitted = text("[document omitted: the model cannot read it]")
    assert said(to, messages=later)[0]["content"] == [text("x"), omitted]
    assert notes(to, messages=later) == [("lost", "document.unreadable", "messages.0.content.1")]


@pytest.mark.failure(21)
@pytest.mark.parametrize(
    ("block", "kind"), [(PDF, "document"), ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "image")]
)
def test_results_that_cannot_be_read_are_marked_and_never_refused(block: Any, kind: str) -> None:
    messages = [*calls("a"), user(result("a", [block]))]
    content = said(target(), messages=messages)[-1]["content"]
    assert content.startswith(f"[{kind} omitted: ")
    assert notes(target(), messages=messages) == [("lost", f"{kind}.unreadable", "messages.2.content.0.content.0")]


@pytest.mark.failure(22)
@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "https://example.org/a.pdf"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "media_type": "application/zip", "data": "x"},
        None,
    ],
)
def test_documents_that_cannot_be_sent_are_named(source: Any) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: .* send a PDF as base64, or text"):
        called(target(files=True), messages=[user({"type": "document", "source": source})])


@pytest.mark.failure(21)
def test_text_documents_are_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "All is well."}
    block = {"type": "document", "title": "State", "context": "Today.", "source": source}
    expected = "[Document: State]\n[Context: Today.]\nAll is well."
    assert said(messages=[user(block)])[0]["content"] == expected
    assert said(messages=[*calls("a"), user(result("a", [block]))])[2]["content"] == expected


@pytest.mark.failure(21)
def test_documents_of_blocks_keep_their_pictures() -> None:
    source = {"type": "content", "content": [text("One."), text(""), IMAGE]}
    block = {"type": "document", "title": "State", "context": "Today.", "source": source}
    assert said(messages=[user(block)])[0]["content"] == [
        text("[Document: State]\n[Context: Today.]"),
        text("One."),
        IMAGE_PART,
    ]
    block = {"type": "document", "source": {"type": "content", "content": "Plain."}}
    assert said(messages=[user(block)])[0]["content"] == "[Document]\nPlain."
    block = {"type": "document", "source": {"type": "content", "content": [text("One.")]}}
    assert said(messages=[user(block)])[0]["content"] == [text("[Document]"), text("One.")]


# Reasoning of earlier turns


def thought(payload: Any, said: str = "So.", *, dialect: str = "chat", scope: str = "lab") -> Json:
    return {"type": "thinking", "thinking": said, "signature": state.pack(dialect, scope, payload)}


FOREIGN = [
    {"type": "thinking", "thinking": "Claude's.", "signature": "EqoBCkYIB"},
    {"type": "thinking", "thinking": "Unsigned.", "signature": ""},
    {"type": "thinking", "thinking": "Unsigned too."},
    {"type": "redacted_thinking", "data": "EqoBCkYIC"},
    thought({"f": "reasoning_content"}, "Elsewhere.", scope="other"),
    thought({"f": "reasoning_content"}, "Another language.", dialect="responses"),
    thought(["nonsense"], "Odd."),
]


@pytest.mark.failure(9, 11, 131)
@pytest.mark.parametrize("block", [*FOREIGN, thought({"f": "reasoning_content"})])
def test_reasoning_goes_nowhere_unless_the_server_wants_it(block: Json) -> None:
    messages = [user(text("x")), assistant(block, text("y")), user(text("z"))]
    assert said(messages=messages)[1] == {"role": "assistant", "content": "y"}
    assert notes(messages=messages) == [("ignored", "thinking.dropped", "")]


@pytest.mark.failure(9, 11, 131)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_details", "think_tags", "parts"])
@pytest.mark.parametrize("block", FOREIGN)
def test_reasoning_of_others_never_reaches_an_upstream(block: Json, field: str) -> None:
    to = target(reasoning_echo="optional", reasoning_echo_field=field)
    messages = [user(text("x")), assistant(block, text("y"), use("a")), user(result("a"))]
    answer = said(to, messages=messages)[1]
    assert answer.keys() == {"role", "content", "tool_calls"}
    assert answer["content"] == "y"


@pytest.mark.failure(10)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_our_own_reasoning_goes_back(field: str) -> None:
    to = target(reasoning_echo="required", reasoning_echo_field=field)
    messages = [
        user(text("x")),
        assistant(thought({"f": field}, "First "), text("y"), thought({"t": "second."}, ""), use("a")),
        user(result("a")),
        assistant(thought({"f": field}, "Third."), text("done")),
        user(text("Next.")),
        assistant(use("b")),
        user(result("b")),
        assistant(text("No thought.")),
        user(text("End.")),
    ]
    answers = [message for message in said(to, messages=messages) if message["role"] == "assistant"]
    assert [answer.get(field) for answer in answers] == ["First second.", "Third.", "", None]
    optional = target(reasoning_echo="optional", reasoning_echo_field=field)
    answers = [message for message in said(optional, messages=messages) if message["role"] == "assistant"]
    assert [answer.get(field) for answer in answers] == ["First second.", "Third.", None, None]


def test_a_fact_of_the_model_decides_whether_reasoning_goes_back() -> None:
    messages = [user(text("x")), assistant(thought({}), use("a")), user(result("a"))]
    to = target(facts={"reasoning_echo": True})
    assert said(to, messages=messages)[1]["reasoning_content"] == "So."
    to = target(reasoning_echo="required", facts={"reasoning_echo": False})
    assert "reasoning_content" not in said(to, messages=messages)[1]


def test_reasoning_without_text_of_its_own_goes_back_from_its_state() -> None:
    block = {"type": "redacted_thinking", "data": state.pack("chat", "lab", {"t": "Hidden."})}
    messages = [user(text("x")), assistant(block, text("y")), user(text("z"))]
    assert said(target(reasoning_echo="optional"), messages=messages)[1]["reasoning_content"] == "Hidden."


def test_reasoning_details_go_back_as_they_were() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x", "id": None}, {"type": "reasoning.text", "text": "So."}]
    to = target(reasoning_echo="optional", reasoning_echo_field="reasoning_details")
    messages = [user(text("x")), assistant(thought({"d": [*details, "odd"]}), use("a")), user(result("a"))]
    answer = said(to, messages=messages)[1]
    assert answer["reasoning_details"] == details
    assert "reasoning" not in answer
    messages = [user(text("x")), assistant(thought({"f": "reasoning"}), use("a")), user(result("a"))]
    answer = said(to, messages=messages)[1]
    assert answer["reasoning"] == "So."
    assert "reasoning_details" not in answer


def test_reasoning_as_tags_or_parts() -> None:
    messages = [user(text("x")), assistant(thought({}), text("y"), use("a")), user(result("a"))]
    tags = target(reasoning_echo="optional", reasoning_echo_field="think_tags", content="string")
    assert said(tags, messages=messages)[1]["content"] == "<think>\nSo.\n</think>\n\ny"
    silent = [user(text("x")), assistant(thought({}), use("a")), user(result("a"))]
    assert said(tags, messages=silent)[1]["content"] == "<think>\nSo.\n</think>\n\n"
    parts = target(reasoning_echo="required", reasoning_echo_field="parts")
    assert said(parts, messages=messages)[1]["content"] == [
        {"type": "thinking", "thinking": [text("So.")], "closed": True},
        text("y"),
    ]


@pytest.mark.failure(48)
def test_signatures_of_calls_go_back_on_their_calls() -> None:
    messages = [
        user(text("x")),
        assistant(thought({"g": "c2ln"}), use("a"), use("b"), thought({"g": "dHdv"}), use("c")),
        user(*(result(id_) for id_ in "abc")),
        assistant(use("d"), use("e")),
        user(result("d"), result("e")),
    ]

    def signatures(answer: Json) -> list[str | None]:
        found = [call.get("extra_content", {}).get("google", {}) for call in answer["tool_calls"]]
        return [google.get("thought_signature") for google in found]

    answers = [message for message in said(messages=messages) if message["role"] == "assistant"]
    assert [signatures(answer) for answer in answers] == [["c2ln", None, "dHdv"], [None, None]]
    assert notes(messages=messages) == []
    to = target(lost_call_signature=True)
    answers = [message for message in said(to, messages=messages) if message["role"] == "assistant"]
    assert [signatures(answer) for answer in answers] == [["c2ln", None, "dHdv"], [LOST_SIGNATURE, None]]
    assert "extra_content" not in json.dumps(said(target(scope="other"), messages=messages))


def test_an_answer_of_nothing_but_foreign_thought_is_left_out() -> None:
    messages = [user(text("x")), assistant(FOREIGN[0]), user(text("y"))]
    assert [message["role"] for message in said(messages=messages)] == ["user", "user"]
    assert ("ignored", "turn.empty", "messages.1") in notes(messages=messages)
    assert said(messages=[user(text("x")), assistant(FOREIGN[0])]) == [{"role": "user", "content": "x"}]


# Prefill


@pytest.mark.failure(8)
def test_an_answer_that_the_caller_began_is_continued() -> None:
    messages = [user(text("x")), assistant(text("Dear "))]
    answered = said(messages=messages)
    assert answered[1:] == [{"role": "assistant", "content": "Dear "}, {"role": "user", "content": CONTINUE}]
    assert notes(messages=messages) == [("changed", "prefill.instructed", "messages")]
    assert said(target(prefill="prefix"), messages=messages)[1] == {
        "role": "assistant",
        "content": "Dear ",
        "prefix": True,
    }
    body = sent(target(prefill="continue"), messages=messages)
    assert body["messages"][-1] == {"role": "assistant", "content": "Dear "}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


@pytest.mark.failure(8)
def test_an_empty_beginning_and_a_last_call_are_no_prefill() -> None:
    assert said(messages=[user(text("x")), assistant(text(" "))]) == [{"role": "user", "content": "x"}]
    assert said(messages=calls("a"))[-1]["role"] == "assistant"
    body = sent(target(prefill="continue"), messages=calls("a"))
    assert "continue_final_message" not in body


# Caching

EPHEMERAL = {"type": "ephemeral"}


@pytest.mark.failure(37)
def test_cache_control_goes_only_where_servers_know_it() -> None:
    messages = [
        user(text("x", cache_control=EPHEMERAL | {"ttl": "1h"})),
        assistant(text("y"), use("a", cache_control=EPHEMERAL)),
        user(result("a", "done", cache_control=EPHEMERAL), IMAGE | {"cache_control": EPHEMERAL}),
    ]
    assert "cache" not in json.dumps(sent(messages=messages))
    assert notes(messages=messages) == [("ignored", "cache_control", "")]
    answered = said(target(cache="cache_control"), messages=messages)
    assert [message["content"][-1].get("cache_control") for message in answered] == [EPHEMERAL] * 4
    assert ("ignored", "cache_control.ttl", "") in notes(target(cache="cache_control"), messages=messages)
    answered = said(target(cache="cache_control", cache_ttl=True), messages=messages)
    assert answered[0]["content"] == [text("x", cache_control=EPHEMERAL | {"ttl": "1h"})]
    answered = said(target(cache="breakpoints"), messages=messages)
    assert [message["content"][-1].get("prompt_cache_breakpoint") for message in answered] == [{"mode": "explicit"}] * 4
    assert "cache_control" not in json.dumps(answered)


def test_marks_without_a_part_to_stand_on_are_noted() -> None:
    to = target(cache="cache_control")
    messages = [user(text("x")), assistant(use("a", cache_control=EPHEMERAL)), user(result("a"))]
    assert notes(to, messages=messages) == [("ignored", "cache_control", "")]
    odd = {"type": "container_upload", "file_id": "f", "cache_control": EPHEMERAL}
    assert said(to, messages=[user(odd)])[0]["content"][0]["cache_control"] == EPHEMERAL
    assert notes(target(cache="cache_control", content="string"), system=[text("x", cache_control=EPHEMERAL)]) == [
        ("ignored", "cache_control", "")
    ]


@pytest.mark.failure(37)
def test_at_most_four_breakpoints() -> None:
    to = target(cache="cache_control")
    blocks = [text(str(number), cache_control=EPHEMERAL) for number in range(6)]
    parts = said(to, messages=[user(*blocks)])[0]["content"]
    assert ["cache_control" in part for part in parts] == [False, False, True, True, True, True]
    assert notes(to, messages=[user(*blocks)]) == [("ignored", "cache_control.too_many", "")]


def test_the_automatic_breakpoint_stands_at_the_end() -> None:
    to = target(cache="cache_control")
    parts = said(to, messages=[user(text("x"), text("y"))], cache_control=EPHEMERAL)[0]["content"]
    assert parts == [text("x"), text("y", cache_control=EPHEMERAL)]
    once = [user(text("x", cache_control=EPHEMERAL))]
    assert said(to, messages=once, cache_control=EPHEMERAL) == said(to, messages=once)
    assert notes(cache_control=EPHEMERAL) == [("ignored", "cache_control", "")]
