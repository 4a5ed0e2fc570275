"""Pictures and documents, in turns and in results."""

import json
from typing import Any

import pytest

from dialects.chat.asking import IMAGE, PDF, PNG, Json, assistant, result, text, use, user
from dialects.gemini.contents_gemini import calls, model, responded, users, words
from dialects.gemini.targets_gemini import newer, notes, said, target
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError

PICTURE: Json = {"inlineData": {"mimeType": "image/png", "data": PNG}}
FILE: Json = {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}
TITLE = words("[Document: Report]")


def image(media_type: str | None = "image/png", **source: Any) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": "AAAA"} | source}


def at(url: str, kind: str = "image", **more: Any) -> Json:
    return {"type": kind, "source": {"type": "url", "url": url}, **more}


def parts_of(*blocks: Json, to: Target | None = None) -> list[Json]:
    return said(to, messages=[user(*blocks)])[0]["parts"]


def link(url: str, media_type: str) -> Json:
    return {"fileData": {"fileUri": url, "mimeType": media_type}}


def test_pictures_travel_inline() -> None:
    assert parts_of(text("x"), IMAGE, text("y")) == [words("x"), PICTURE, words("y")]
    for media_type in ("image/jpeg", "image/webp", "image/heic", "image/heif"):
        assert parts_of(image(media_type)) == [{"inlineData": {"mimeType": media_type, "data": "AAAA"}}]
    for media_type in ("image/jpg", "image/JPEG"):
        assert parts_of(image(media_type)) == [{"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}]
    assert notes(messages=[user(IMAGE | {"cache_control": {"type": "ephemeral"}})]) == [
        ("ignored", "cache_control", "")
    ]


@pytest.mark.parametrize("block", [image("image/gif"), image("image/tiff"), at("https://example.org/a.GIF?x=1.png")])
def test_pictures_of_other_types_are_named_and_do_not_end_the_conversation(block: Json) -> None:
    for to in (target(), target(file_urls=True)):
        with pytest.raises(ApiError, match=r"messages\.0\.content\.1\.source: .*; send PNG, JPEG") as caught:
            parts_of(text("x"), block, to=to)
        assert caught.value.status == 400
    later = [user(text("x"), block), assistant(text("Seen.")), user(text("More."))]
    marker = words("[image omitted: it cannot be sent to this model]")
    assert said(messages=later)[0] == users(words("x"), marker)
    assert notes(messages=later) == [("lost", "image.unreadable", "messages.0.content.1")]
    assert said(messages=[*calls("a"), user(result("a", [block]))])[2] == users(responded(marker["text"]))


@pytest.mark.failure(22)
def test_pictures_by_url_are_fetched_by_the_server_or_by_nobody() -> None:
    url = "https://example.org/a.png"
    with pytest.raises(
        ApiError, match=r"messages\.0\.content\.0\.source: this url .* send an image as base64.* fetches"
    ):
        parts_of(at(url))
    to = target(file_urls=True)
    assert parts_of(at(url), to=to) == [link(url, "image/png")]
    for url, media_type in (
        ("gs://bucket/a.webp", "image/webp"),
        ("HTTPS://example.org/a.JPG?size=1#top", "image/jpeg"),
        ("https://example.org/picture", "image/jpeg"),
        ("https://example.org/a.php", "image/jpeg"),
    ):
        assert parts_of(at(url), to=to) == [link(url, media_type)]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "file", "file_id": "file_1"},
        {"type": "url", "url": "file:///etc/passwd"},
        {"type": "url"},
        {"type": "base64", "data": "x"},
        {"type": "base64", "media_type": "image/png"},
        {"type": "hologram"},
        "x",
    ],
)
def test_images_that_cannot_be_sent_are_named(source: Any) -> None:
    for to in (target(), target(file_urls=True)):
        with pytest.raises(ApiError, match=r"messages\.0\.content\.1\.source: .* send an image as base64") as caught:
            parts_of(text("x"), {"type": "image", "source": source}, to=to)
        assert caught.value.status == 400


@pytest.mark.failure(20)
def test_a_model_without_vision_is_told_that_there_was_a_picture() -> None:
    omitted = "[image omitted: the model cannot see images]"
    for to in (target(images=False), target(facts={"vision": False})):
        assert parts_of(text("x"), IMAGE, to=to) == [words("x"), words(omitted)]
        assert notes(to, messages=[user(text("x"), IMAGE)]) == [("lost", "image.no_vision", "messages.0.content.1")]
        assert said(to, messages=[*calls("a"), user(result("a", [IMAGE]))])[2] == users(responded(omitted))


def test_a_picture_in_an_answer_is_lost_with_a_note() -> None:
    messages = [user(text("x")), assistant(text("y"), IMAGE, PDF), user(text("z"))]
    assert said(messages=messages)[1] == model(
        words("y"), words("[image]"), words("[Document: Report]\n[application/pdf]")
    )
    assert notes(messages=messages) == [
        ("lost", "block.as_text", "messages.1.content.1"),
        ("lost", "block.as_text", "messages.1.content.2"),
    ]


# Documents


@pytest.mark.failure(21)
def test_pdf_documents_travel_inline() -> None:
    assert parts_of(PDF) == [TITLE, FILE]
    block = PDF | {"title": None, "context": "Draft.", "citations": {"enabled": True}}
    assert parts_of(block, to=target(facts={"files": True}, files=False)) == [
        words("[Context of the document: Draft.]"),
        FILE,
    ]
    assert notes(messages=[user(block)]) == [("changed", "document.citations", "messages.0.content.0")]
    assert notes(messages=[user(PDF | {"citations": {"enabled": False}})]) == []
    untyped = {"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}
    assert parts_of(untyped) == [FILE]


@pytest.mark.failure(21, 22)
def test_pdf_documents_by_url() -> None:
    for url in ("https://example.org/a.pdf", "gs://bucket/report"):
        assert parts_of(at(url, "document", title="Report"), to=target(file_urls=True)) == [
            TITLE,
            link(url, "application/pdf"),
        ]
        with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: this url cannot .* fetches urls"):
            parts_of(at(url, "document"))


@pytest.mark.failure(21)
@pytest.mark.parametrize("to", [target(files=False), target(facts={"files": False})])
def test_pdf_documents_that_cannot_be_read_are_named_and_do_not_end_the_conversation(to: Target) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.1: .* no PDF"):
        parts_of(text("x"), PDF, to=to)
    later = [user(text("x"), PDF), assistant(text("Read.")), user(text("More."))]
    assert said(to, messages=later)[0] == users(words("x"), words("[document omitted: the model cannot read it]"))
    assert notes(to, messages=later) == [("lost", "document.unreadable", "messages.0.content.1")]


@pytest.mark.failure(22)
@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "file:///etc/passwd"},
        {"type": "url", "url": "https://example.org/a.png"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "media_type": "application/zip", "data": "x"},
        None,
    ],
)
def test_documents_that_cannot_be_sent_are_named(source: Any) -> None:
    with pytest.raises(ApiError, match=r"messages\.0\.content\.0\.source: .* send a PDF as base64, or text"):
        parts_of({"type": "document", "source": source}, to=target(file_urls=True))


@pytest.mark.failure(21)
@pytest.mark.parametrize(
    ("block", "kind"), [(at("https://example.org/a.pdf", "document"), "document"), (image(type="file"), "image")]
)
def test_results_that_cannot_be_read_are_marked_and_never_refused(block: Any, kind: str) -> None:
    messages = [*calls("a"), user(result("a", [block]))]
    assert json.dumps(said(messages=messages)[2]).count(f"[{kind} omitted: ") == 1
    assert notes(messages=messages) == [("lost", f"{kind}.unreadable", "messages.2.content.0.content.0")]


@pytest.mark.failure(21)
def test_text_documents_are_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "All is well."}
    block = {"type": "document", "title": "State", "context": "Today.", "source": source}
    expected = "[Document: State]\n[Context: Today.]\nAll is well."
    assert parts_of(block) == [words(expected)]
    assert said(messages=[*calls("a"), user(result("a", [block]))])[2] == users(responded(expected))


@pytest.mark.failure(21)
def test_documents_of_blocks_keep_their_pictures() -> None:
    source = {"type": "content", "content": [text("One."), text(""), IMAGE]}
    block = {"type": "document", "title": "State", "context": "Today.", "source": source}
    assert parts_of(block) == [words("[Document: State]\n[Context: Today.]"), words("One."), PICTURE]
    assert said(newer(), messages=[*calls("a"), user(result("a", [block]))])[2] == users(
        responded("[Document: State]\n[Context: Today.]\nOne.\n[document 1, attached]", id_="a", parts=[PICTURE])
    )
    block = {"type": "document", "source": {"type": "content", "content": "Plain."}}
    assert parts_of(block) == [words("[Document]\nPlain.")]


# Results


@pytest.mark.failure(16)
def test_pictures_and_files_stay_in_the_results() -> None:
    messages = [*calls("a", "b"), user(result("a", [text("See:"), IMAGE, PDF]), result("b", [IMAGE]), text("Well?"))]
    assert said(newer(), messages=messages)[2] == users(
        responded(
            "See:\n[image 1, attached]\n[Document: Report]\n[document 2, attached]", id_="a", parts=[PICTURE, FILE]
        ),
        responded("[image 1, attached]", id_="b", parts=[PICTURE]),
        words("Well?"),
    )
    assert notes(newer(), messages=messages) == []
    failed = [*calls("a"), user(result("a", [IMAGE], is_error=True))]
    assert said(newer(), messages=failed)[2] == users(
        responded("[image 1, attached]", key="error", id_="a", parts=[PICTURE])
    )


@pytest.mark.failure(16)
def test_pictures_follow_the_responses_where_those_hold_text_only() -> None:
    file = PDF | {"context": "Draft.", "title": None}
    messages = [*calls("a", "b"), user(result("a", [text("See:"), IMAGE]), result("b", [file]), text("Well?"))]
    assert said(messages=messages)[2] == users(
        responded("See:\n[image 1 of the tool results]: see below"),
        responded("[Context of the document: Draft.]\n[document 2 of the tool results]: see below"),
        words("[image 1 of the tool results]:"),
        PICTURE,
        words("[document 2 of the tool results]:"),
        FILE,
        words("Well?"),
    )
    assert notes(messages=messages) == [
        ("ignored", "tool_result.media_moved", "messages.2.content.0.content.1"),
        ("ignored", "tool_result.media_moved", "messages.2.content.1.content.0"),
    ]


@pytest.mark.failure(16)
@pytest.mark.parametrize(
    ("block", "part"),
    [
        (image("image/heic"), {"inlineData": {"mimeType": "image/heic", "data": "AAAA"}}),
        (at("https://example.org/a.png"), link("https://example.org/a.png", "image/png")),
    ],
)
def test_what_responses_do_not_take_follows_them(block: Json, part: Json) -> None:
    messages = [user(text("x")), assistant(use("a")), user(result("a", [block, IMAGE]))]
    assert said(newer(file_urls=True), messages=messages)[2] == users(
        responded("[image 1 of the tool results]: see below\n[image 1, attached]", id_="a", parts=[PICTURE]),
        words("[image 1 of the tool results]:"),
        part,
    )
