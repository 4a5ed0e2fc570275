"""System prompt and conversation."""

import json
from typing import Any

import pytest

from dialects.chat.asking import IMAGE, PDF, PNG, Json, assistant, result, text, use, user
from dialects.responses.asking import (
    called,
    function_call,
    message,
    notes,
    openai,
    output,
    part,
    reasoning,
    said,
    sent,
    signed,
    target,
    thought,
)
from dialects.tables import bad_images
from dragoman.dialects.responses.request import call
from dragoman.messages.errors import ApiError
from dragoman.messages.instructions import CONTINUE
from dragoman.messages.request import decode

IMAGE_PART = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
FILE_PART = {"type": "input_file", "filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
HEADER = "x-anthropic-billing-header: cc_version=2.1.329.1; cc_entrypoint=cli; cch=71fea;"
EPHEMERAL = {"type": "ephemeral"}


def calls(*ids: str) -> list[Json]:
    """A conversation that ends with calls of those ids."""
    return [user(text("Go.")), assistant(*(use(id_) for id_ in ids))]


# System


@pytest.mark.failure(1, 3)
def test_the_system_prompt_is_the_instructions() -> None:
    blocks = [text(HEADER), text("One.", citations=[]), text(" "), text("Two.")]
    body = sent(system=blocks)
    assert body["instructions"] == "One.\n\nTwo."
    assert body["input"] == [message("user", "Hello.")]
    assert sent(system="Be brief.")["instructions"] == "Be brief."
    for nothing in ([], HEADER, None):
        assert "instructions" not in sent(system=nothing)


@pytest.mark.failure(4)
def test_system_turns_inside_the_conversation_stand_behind_outputs() -> None:
    messages = [*calls("1"), {"role": "system", "content": [text("Note."), text("More.")]}, user(result("1"))]
    kept = said(messages=messages)
    assert kept[2:] == [output("1", "done"), message("developer", [part("Note."), part("More.")])]
    assert said(target(facts={"system_role": "system"}), messages=messages)[-1]["role"] == "system"
    assert said(target(system_role="system"), messages=messages)[-1]["role"] == "system"
    folded = said(target(mid_system="fold"), messages=messages)
    assert folded[-1] == message("user", "<system-reminder>\nNote.\n\nMore.\n</system-reminder>")


# Text


@pytest.mark.failure(6)
def test_empty_text_is_dropped() -> None:
    messages = [user(text(""), text("Go."), text(" \n")), assistant(text(""), use("1")), user(result("1"))]
    assert said(messages=messages) == [message("user", "Go."), function_call("1"), output("1", "done")]
    for empty in ({"messages": [user(text(" "))]}, {"system": "x", "messages": []}):
        with pytest.raises(ApiError, match="at least one message"):
            called(**empty)
        with pytest.raises(ApiError, match="at least one message"):
            called(target(cache="breakpoints"), **empty)


def test_texts_of_a_user_are_parts_and_those_of_an_answer_messages() -> None:
    messages = [user(text("One."), text("Two.")), assistant(text("Three."), text("Four.")), user(text("x"))]
    assert said(messages=messages) == [
        message("user", [part("One."), part("Two.")]),
        message("assistant", "Three."),
        message("assistant", "Four."),
        message("user", "x"),
    ]


def test_an_answer_that_was_cut_by_its_citations_is_one_text_again() -> None:
    cited = text("it is green", citations=[{"type": "char_location", "cited_text": "green"}])
    answer = assistant(text("They say "), cited, text("."), text("Next."))
    messages = [user(text("x")), answer, user(text("y"))]
    assert said(messages=messages)[1:3] == [
        message("assistant", "They say it is green."),
        message("assistant", "Next."),
    ]
    assert notes(messages=messages) == [("ignored", "text.citations", "")]
    split = [user(text("x")), assistant(cited, thought("ENC"), cited), user(text("y"))]
    assert [item["type"] for item in said(messages=split)] == ["message", "message", "reasoning", "message", "message"]
    plain = [user(text("x", citations=[{"type": "char_location"}]))]
    assert notes(messages=plain) == [("ignored", "text.citations", "")]


# Calls and results


@pytest.mark.failure(13, 14)
def test_outputs_come_first_together_and_once_for_each_call() -> None:
    messages = [
        *calls("a", "b"),
        user(text("By the way,"), result("b", "two"), text("hurry."), result("a", [text("o"), text("ne")])),
    ]
    assert said(messages=messages)[1:] == [
        function_call("a"),
        function_call("b"),
        output("a", "o\nne"),
        output("b", "two"),
        message("user", [part("By the way,"), part("hurry.")]),
    ]


@pytest.mark.failure(13)
def test_words_of_an_answer_stand_before_its_calls() -> None:
    messages = [user(text("x")), assistant(use("a"), text("Late words."), use("b")), user(result("a"), result("b"))]
    assert said(messages=messages)[1:4] == [message("assistant", "Late words."), function_call("a"), function_call("b")]


@pytest.mark.failure(14)
@pytest.mark.parametrize("content", ["", " \n", [], None, [text("")]])
def test_an_empty_result_is_still_a_result(content: Any) -> None:
    assert said(messages=[*calls("a"), user(result("a", content))])[2] == output("a", "(no output)")
    del (block := result("a"))["content"]
    assert said(messages=[*calls("a"), user(block)])[2] == output("a", "(no output)")
    spoken = result("a", [text(""), text("x"), text("")])
    assert said(messages=[*calls("a"), user(spoken)])[2] == output("a", "x")


@pytest.mark.failure(17)
def test_a_failure_is_visible() -> None:
    failed = result("a", "no such file", is_error=True)
    assert said(messages=[*calls("a"), user(failed)])[2] == output("a", "Error: no such file")
    failed = result("a", [IMAGE], is_error=True)
    assert said(messages=[*calls("a"), user(failed)])[2] == output("a", [part("Error:"), IMAGE_PART])


@pytest.mark.failure(18)
def test_orphans_are_mended() -> None:
    messages = [*calls("a", "b"), user(result("b"), result("lost", "late"), text("Go on."))]
    answered = said(messages=messages)
    assert answered[3:5] == [output("a", "[no result: interrupted]"), output("b", "done")]
    assert "late" in json.dumps(answered[5])


@pytest.mark.failure(18)
def test_calls_at_the_end_get_outputs_too() -> None:
    messages = [user(text("x")), assistant(text("y"), use("a"), thought("ENC"), use("b"))]
    assert said(messages=messages)[2:] == [
        function_call("a"),
        reasoning("ENC"),
        function_call("b"),
        output("a", "[no result: interrupted]"),
        output("b", "[no result: interrupted]"),
    ]
    assert notes(messages=messages) == [("changed", "tool_result.missing", "messages")]
    assert [item["type"] for item in said(messages=[assistant(use("a"))])] == ["function_call", "function_call_output"]


@pytest.mark.failure(15)
def test_blocks_of_other_types_in_a_result_become_text() -> None:
    content = [
        {"type": "tool_reference", "tool_name": "WebFetch"},
        {"type": "search_result", "title": "T", "source": "https://example.org", "content": [text("found")]},
        {"type": "browser_state", "tabs": []},
        text("end", cache_control=EPHEMERAL),
    ]
    expected = "[Loaded tool: WebFetch]\n[Search result: T (https://example.org)]\nfound\n[browser_state]\nend"
    messages = [*calls("a"), user(result("a", content))]
    assert said(messages=messages)[2] == output("a", expected)
    assert notes(messages=messages) == [("ignored", "cache_control", "")]


@pytest.mark.failure(16)
def test_pictures_and_files_stay_in_the_results() -> None:
    messages = [*calls("a", "b"), user(result("a", [text("See:"), IMAGE, PDF]), result("b", [IMAGE]), text("Well?"))]
    assert said(openai(), messages=messages)[3:] == [
        output("a", [part("See:"), IMAGE_PART, FILE_PART]),
        output("b", [IMAGE_PART]),
        message("user", "Well?"),
    ]
    assert notes(openai(), messages=messages) == []


@pytest.mark.failure(16)
def test_pictures_follow_in_the_next_message_where_results_hold_text_only() -> None:
    to = target(result_media=False, files=True)
    file = PDF | {"context": "Draft."}
    messages = [*calls("a", "b"), user(result("a", [text("See:"), IMAGE]), result("b", [file]), text("Well?"))]
    assert said(to, messages=messages)[3:] == [
        output("a", "See:\n[image 1 of the tool results]: see the next message"),
        output("b", "[Context of the document: Draft.]\n[document 2 of the tool results]: see the next message"),
        message(
            "user",
            [
                part("[image 1 of the tool results]:"),
                IMAGE_PART,
                part("[document 2 of the tool results]:"),
                FILE_PART,
                part("Well?"),
            ],
        ),
    ]
    assert notes(to, messages=messages) == [
        ("ignored", "tool_result.media_moved", "messages.2.content.0.content.1"),
        ("ignored", "tool_result.media_moved", "messages.2.content.1.content.0"),
    ]


def test_tool_input_travels_as_it_is_written() -> None:
    spelled = '{ "b":1e2, "a":"\\u00fc\\n", "cache_control":{"type":"ephemeral"} }'
    raw = json.dumps({"model": "m", "max_tokens": 16, "messages": [*calls("a"), user(result("a"))]})
    body = call(decode(raw.replace('"input": {}', f'"input": {spelled}').encode()), target()).body
    assert json.loads(body)["input"][1]["arguments"] == spelled


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    ("given", "written"), [([1], '{"input":[1]}'), ("x", '{"input":"x"}'), (None, "{}"), (7, '{"input":7}')]
)
def test_tool_input_that_is_no_object_becomes_one(given: Any, written: str) -> None:
    block = {"type": "tool_use", "id": "a", "name": "weather", "input": given}
    messages = [user(text("x")), assistant(block), user(result("a"))]
    assert said(messages=messages)[1] == function_call("a", arguments=written)
    assert notes(messages=messages) == [("changed", "tool_use.input", "messages.1.content.0")]
    del block["input"]
    assert said(messages=messages)[1] == function_call("a")


@pytest.mark.failure(49, 64)
def test_ids_are_what_the_server_takes_in_call_and_output_alike() -> None:
    ids = ["toolu_1", "call.x:0", "t" * 64, "t" * 65, "call_1__thought__" + "Zg" * 40]
    messages = [*calls(*ids), user(*(result(id_) for id_ in ids))]
    for limit in (64, 16):
        answered = said(target(tool_id_limit=limit), messages=messages)
        made = [item["call_id"] for item in answered if item["type"] == "function_call"]
        assert made == [item["call_id"] for item in answered if item["type"] == "function_call_output"]
        assert len(set(made)) == len(ids)
        assert all(len(id_) <= limit and id_.replace("_", "").isalnum() for id_ in made)
    assert [said(messages=messages)[number]["call_id"] for number in (1, 3)] == ["toolu_1", "t" * 64]
    assert called(messages=messages).recall.ids == set(ids)


def test_what_anthropic_ran_before_becomes_text() -> None:
    earlier = [
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srv",
            "content": [{"type": "web_search_result", "url": "u"}],
            "cache_control": EPHEMERAL,
        },
        text("Found.", cache_control=EPHEMERAL),
    ]
    messages = [user(text("x")), assistant(*earlier), user(text("y"), {"type": "container_upload", "file_id": "f"})]
    answered = said(messages=messages)
    assert [item["content"] for item in answered[1:4]] == [
        '[Called web_search: {"query": "x"}]',
        "[Web search results]\n- untitled: u",
        "Found.",
    ]
    assert answered[4] == message("user", [part("y"), part("[Uploaded file: f]")])
    assert {grade for grade, code, _ in notes(messages=messages) if code != "cache_control"} == {"changed"}


def test_a_model_without_tools_reads_what_was_called() -> None:
    to = target(facts={"tools": False}, files=True)
    messages = [
        user(text("x")),
        assistant(text("Let me see."), use("1"), use("2")),
        user(result("1", "Sun."), result("2", [IMAGE])),
    ]
    assert said(to, messages=messages)[1:] == [
        message("assistant", "Let me see."),
        message("assistant", "[Called weather: {}]"),
        message("assistant", "[Called weather: {}]"),
        message("user", [part("[Result of a tool]"), part("Sun."), part("[Result of a tool]"), IMAGE_PART]),
    ]
    assert called(to, messages=messages).recall.ids == {"1", "2"}


# Images


@pytest.mark.failure(22)
def test_images_by_url() -> None:
    block = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    assert said(messages=[user(block)])[0]["content"] == [IMAGE_PART | {"image_url": "https://example.org/a.png"}]
    with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: .*base64"):
        called(target(image_urls=False), messages=[user(block)])


@bad_images
def test_images_that_cannot_be_sent_are_named(source: Any) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.1\.source") as caught:
        called(messages=[user(text("x"), {"type": "image", "source": source})])
    assert caught.value.status == 400


@pytest.mark.failure(20)
def test_a_model_without_vision_is_told_that_there_was_a_picture() -> None:
    omitted = "[image omitted: the model cannot see images]"
    for to in (target(images=False), target(facts={"vision": False})):
        assert said(to, messages=[user(text("x"), IMAGE)])[0]["content"] == [part("x"), part(omitted)]
        assert notes(to, messages=[user(text("x"), IMAGE)]) == [("lost", "image.no_vision", "messages.0.content.1")]
        assert said(to, messages=[*calls("a"), user(result("a", [IMAGE]))])[2:] == [output("a", omitted)]


def test_a_picture_in_an_answer_is_lost_with_a_note() -> None:
    messages = [user(text("x")), assistant(text("y"), IMAGE, PDF), user(text("z"))]
    assert [item["content"] for item in said(messages=messages)[1:4]] == [
        "y",
        "[image]",
        "[Document: Report]\n[application/pdf]",
    ]
    assert notes(messages=messages) == [
        ("lost", "block.as_text", "messages.1.content.1"),
        ("lost", "block.as_text", "messages.1.content.2"),
    ]


# Documents


@pytest.mark.failure(21)
def test_pdf_documents_as_files() -> None:
    to = target(files=True)
    assert said(to, messages=[user(PDF)])[0]["content"] == [FILE_PART]
    block = PDF | {"title": None, "context": "Draft.", "citations": {"enabled": True}}
    assert said(target(facts={"files": True}), messages=[user(block)])[0]["content"] == [
        part("[Context of the document: Draft.]"),
        FILE_PART | {"filename": "document.pdf"},
    ]
    assert notes(to, messages=[user(block)]) == [("changed", "document.citations", "messages.0.content.0")]
    named = PDF | {"title": "a.pdf", "citations": {"enabled": False}}
    assert said(to, messages=[user(named)])[0]["content"] == [FILE_PART | {"filename": "a.pdf"}]
    assert notes(to, messages=[user(named)]) == []


@pytest.mark.failure(21, 22)
def test_pdf_documents_by_url() -> None:
    block = {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}
    link = {"type": "input_file", "file_url": "https://example.org/a.pdf"}
    assert said(openai(), messages=[user(block)])[0]["content"] == [link]
    titled = block | {"title": "Report", "context": "Draft."}
    assert said(openai(), messages=[user(titled)])[0]["content"] == [
        part("[Document: Report]"),
        part("[Context of the document: Draft.]"),
        link,
    ]
    with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: this url cannot be sent"):
        called(target(files=True), messages=[user(block)])


@pytest.mark.failure(21)
@pytest.mark.parametrize("to", [target(), target(files=True, facts={"files": False})])
def test_pdf_documents_that_cannot_be_read_are_named_and_do_not_end_the_conversation(to: Any) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.1: .* no PDF"):
        called(to, messages=[user(text("x"), PDF)])
    later = [user(text("x"), PDF), assistant(text("Read.")), user(text("More."))]
    assert said(to, messages=later)[0]["content"] == [
        part("x"),
        part("[document omitted: the model cannot read it]"),
    ]
    assert notes(to, messages=later) == [("lost", "document.unreadable", "messages.0.content.1")]


@pytest.mark.failure(21)
@pytest.mark.parametrize(
    ("block", "kind"), [(PDF, "document"), ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "image")]
)
def test_results_that_cannot_be_read_are_marked_and_never_refused(block: Any, kind: str) -> None:
    messages = [*calls("a"), user(result("a", [block]))]
    assert said(messages=messages)[-1]["output"].startswith(f"[{kind} omitted: ")
    assert notes(messages=messages) == [("lost", f"{kind}.unreadable", "messages.2.content.0.content.0")]


@pytest.mark.failure(22)
@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "file:///etc/passwd"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "media_type": "application/zip", "data": "x"},
        None,
    ],
)
def test_documents_that_cannot_be_sent_are_named(source: Any) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: .* send a PDF as base64, or text"):
        called(openai(), messages=[user({"type": "document", "source": source})])


@pytest.mark.failure(21)
def test_text_documents_are_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "All is well."}
    block = {"type": "document", "title": "State", "context": "Today.", "source": source}
    expected = "[Document: State]\n[Context: Today.]\nAll is well."
    assert said(messages=[user(block)])[0]["content"] == expected
    assert said(messages=[*calls("a"), user(result("a", [block]))])[2] == output("a", expected)


@pytest.mark.failure(21)
def test_documents_of_blocks_keep_their_pictures() -> None:
    source = {"type": "content", "content": [text("One."), text(""), IMAGE]}
    block = {"type": "document", "title": "State", "context": "Today.", "source": source}
    assert said(messages=[user(block)])[0]["content"] == [
        part("[Document: State]\n[Context: Today.]"),
        part("One."),
        IMAGE_PART,
    ]
    block = {"type": "document", "source": {"type": "content", "content": "Plain."}}
    assert said(messages=[user(block)])[0]["content"] == "[Document]\nPlain."
    block = {"type": "document", "source": {"type": "content", "content": [text("One.")]}}
    assert said(messages=[user(block)])[0]["content"] == [part("[Document]"), part("One.")]


# Reasoning of earlier turns


FOREIGN = [
    {"type": "thinking", "thinking": "Claude's.", "signature": "EqoBCkYIB"},
    {"type": "thinking", "thinking": "Unsigned.", "signature": ""},
    {"type": "thinking", "thinking": "Unsigned too."},
    {"type": "redacted_thinking", "data": "EqoBCkYIC"},
    thought("ENC", scope="other"),
    thought("ENC", dialect="chat"),
    {"type": "thinking", "thinking": "Odd.", "signature": signed(["nonsense"])},
    {"type": "thinking", "thinking": "Odd.", "signature": signed({"e": 7, "id": "rs_1"})},
    {"type": "thinking", "thinking": "Empty.", "signature": signed({"e": ""})},
    {"type": "thinking", "thinking": "An id without content.", "signature": signed({"id": "rs_1"})},
]


@pytest.mark.failure(9, 11, 43, 131)
@pytest.mark.parametrize("block", FOREIGN)
def test_reasoning_of_others_never_reaches_an_upstream(block: Json) -> None:
    messages = [user(text("x")), assistant(block, text("y"), use("a")), user(result("a"))]
    assert said(messages=messages)[1:3] == [message("assistant", "y"), function_call("a")]
    assert notes(messages=messages) == [("ignored", "thinking.dropped", "")]


@pytest.mark.failure(43)
def test_our_own_reasoning_goes_back_right_before_what_it_led_to() -> None:
    hidden = {"type": "redacted_thinking", "data": signed({"e": "TWO", "id": "rs_2"})}
    answer = assistant(thought("ONE", "rs_1"), text("y"), hidden, use("a"), thought("THREE", "not legal!"), use("b"))
    messages = [
        user(text("x")),
        answer,
        user(result("a"), result("b")),
        assistant(thought("FIVE"), text("z")),
        user(text(".")),
    ]
    assert said(messages=messages)[1:] == [
        reasoning("ONE", "rs_1"),
        message("assistant", "y"),
        reasoning("TWO", "rs_2"),
        function_call("a"),
        reasoning("THREE"),
        function_call("b"),
        output("a", "done"),
        output("b", "done"),
        reasoning("FIVE"),
        message("assistant", "z"),
        message("user", "."),
    ]
    assert notes(messages=messages) == []


@pytest.mark.failure(43)
def test_of_two_in_a_row_the_first_lost_what_it_led_to() -> None:
    messages = [user(text("x")), assistant(thought("ONE"), thought("TWO"), use("a")), user(result("a"))]
    assert said(messages=messages)[1:] == [reasoning("TWO"), function_call("a"), output("a", "done")]
    assert notes(messages=messages) == [("ignored", "thinking.dropped", "")]


@pytest.mark.failure(43)
def test_reasoning_moves_with_the_words_that_it_led_to() -> None:
    answer = assistant(thought("ONE"), use("a"), thought("TWO"), text("y"))
    messages = [user(text("x")), answer, user(result("a"))]
    assert said(messages=messages)[1:5] == [
        reasoning("TWO"),
        message("assistant", "y"),
        reasoning("ONE"),
        function_call("a"),
    ]


@pytest.mark.failure(43)
def test_reasoning_that_led_to_nothing_is_dropped() -> None:
    messages = [user(text("x")), assistant(text("y"), thought("ONE")), user(text("z"))]
    assert [item["type"] for item in said(messages=messages)] == ["message"] * 3
    assert notes(messages=messages) == [("ignored", "thinking.dropped", "")]
    messages = [user(text("x")), assistant(thought("ONE")), user(text("z"))]
    assert said(messages=messages) == [message("user", "x"), message("user", "z")]
    assert notes(messages=messages) == [("ignored", "thinking.dropped", ""), ("ignored", "turn.empty", "messages.1")]
    assert said(messages=messages[:2]) == [message("user", "x")]


@pytest.mark.failure(43)
def test_reasoning_that_led_to_what_became_text_is_dropped() -> None:
    searched = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}, "cache_control": EPHEMERAL}
    messages = [user(text("x")), assistant(thought("ONE"), searched, thought("TWO"), text("y")), user(text("z"))]
    assert said(messages=messages)[1:4] == [
        message("assistant", "[Called web_search: {}]"),
        reasoning("TWO"),
        message("assistant", "y"),
    ]
    assert ("ignored", "thinking.dropped", "") in notes(messages=messages)
    called_before = [user(text("x")), assistant(thought("ONE"), use("a")), user(result("a"))]
    assert "ONE" not in json.dumps(said(target(facts={"tools": False}), messages=called_before))


@pytest.mark.failure(43)
def test_reasoning_goes_back_once() -> None:
    messages = [user(text("x")), assistant(thought("ONE", "rs_1"), text("y"), thought("ONE", "rs_1"), use("a"))]
    assert [item["type"] for item in said(messages=messages)][1:4] == ["reasoning", "message", "function_call"]


@pytest.mark.failure(43)
def test_reasoning_that_led_to_a_search_is_dropped_since_that_goes_back_as_words() -> None:
    search: Json = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}}
    found: Json = {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []}
    answer = assistant(thought("ONE"), search, found, thought("TWO"), text("y"))
    items = said(messages=[user(text("x")), answer, user(text("z"))])
    assert [item for item in items if item["type"] == "reasoning"] == [reasoning("TWO")]
    assert items[-3:] == [reasoning("TWO"), message("assistant", "y"), message("user", "z")]
    assert ("ignored", "thinking.dropped", "") in notes(messages=[user(text("x")), answer, user(text("z"))])


@pytest.mark.failure(43)
@pytest.mark.parametrize("to", [target(reasoning_history="drop"), target(facts={"reasoning": False})])
def test_reasoning_is_kept_from_who_cannot_read_it(to: Any) -> None:
    messages = [user(text("x")), assistant(thought("ONE"), text("y")), user(text("z"))]
    assert "ONE" not in json.dumps(said(to, messages=messages))
    assert notes(to, messages=messages) == [("ignored", "thinking.dropped", "")]


# Prefill


@pytest.mark.failure(8)
def test_an_answer_that_the_caller_began_is_continued_by_instruction() -> None:
    messages = [user(text("x")), assistant(text("Dear "))]
    assert said(messages=messages)[1:] == [message("assistant", "Dear "), message("user", CONTINUE)]
    assert notes(messages=messages) == [("changed", "prefill.instructed", "messages")]
    assert said(messages=[user(text("x")), assistant(text(" "))]) == [message("user", "x")]


# Caching

BREAKPOINT = {"prompt_cache_breakpoint": {"mode": "explicit"}}


@pytest.mark.failure(37)
def test_breakpoints_go_only_where_servers_know_them() -> None:
    messages = [
        user(text("x", cache_control=EPHEMERAL | {"ttl": "1h"})),
        assistant(text("y", cache_control=EPHEMERAL), use("a", cache_control=EPHEMERAL)),
        user(result("a", "done", cache_control=EPHEMERAL), IMAGE | {"cache_control": EPHEMERAL}),
    ]
    system = [text("s", cache_control=EPHEMERAL)]
    for to in (target(), target(cache="key")):
        assert "cache_control" not in json.dumps(sent(to, messages=messages, system=system))
        assert notes(to, messages=messages, system=system) == [("ignored", "cache_control", "")]
    to = target(cache="breakpoints")
    body = sent(to, messages=messages, system=system)
    assert "instructions" not in body
    assert body["input"] == [
        message("developer", [part("s", **BREAKPOINT)]),
        message("user", [part("x", **BREAKPOINT)]),
        message("assistant", "y"),
        function_call("a"),
        output("a", [part("done", **BREAKPOINT)]),
        message("user", [IMAGE_PART | BREAKPOINT]),
    ]
    assert notes(to, messages=messages, system=system) == [
        ("ignored", "cache_control", ""),
        ("ignored", "cache_control.ttl", ""),
    ]


@pytest.mark.failure(37)
def test_at_most_four_breakpoints() -> None:
    to = target(cache="breakpoints")
    blocks = [text(str(number), cache_control=EPHEMERAL) for number in range(6)]
    parts = said(to, messages=[user(*blocks)])[0]["content"]
    assert ["prompt_cache_breakpoint" in each for each in parts] == [False, False, True, True, True, True]
    assert notes(to, messages=[user(*blocks)]) == [("ignored", "cache_control.too_many", "")]


def test_the_automatic_breakpoint_stands_at_the_end() -> None:
    to = target(cache="breakpoints")
    parts = said(to, messages=[user(text("x"), text("y"))], cache_control=EPHEMERAL)[0]["content"]
    assert parts == [part("x"), part("y", **BREAKPOINT)]
    answered = [*calls("a"), user(result("a"))]
    assert said(to, messages=answered, cache_control=EPHEMERAL)[-1] == output("a", [part("done", **BREAKPOINT)])
    once = [user(text("x", cache_control=EPHEMERAL))]
    assert said(to, messages=once, cache_control=EPHEMERAL) == said(to, messages=once)
    assert notes(cache_control=EPHEMERAL) == [("ignored", "cache_control", "")]
    odd = {"type": "container_upload", "file_id": "f", "cache_control": EPHEMERAL}
    assert said(to, messages=[user(odd)])[0]["content"] == [part("[Uploaded file: f]", **BREAKPOINT)]
