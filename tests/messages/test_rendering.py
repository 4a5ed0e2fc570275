"""Blocks as text, for upstreams that do not know their type."""

import pytest

from dragoman.messages.rendering import as_text, content_of
from messages.conversations import IMAGE, Json, block, text

PAGE = {"type": "document", "title": "Home", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}}


@pytest.mark.failure(15)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (text("plain"), "plain"),
        ({"type": "text"}, ""),
        (IMAGE, "[image]"),
        ({"type": "thinking", "thinking": "secret", "signature": "s"}, ""),
        ({"type": "redacted_thinking", "data": "x"}, ""),
        (
            {"type": "search_result", "source": "doc/1", "title": "One", "content": [text("found"), text("more")]},
            "[Search result: One (doc/1)]\nfound\nmore",
        ),
        ({"type": "search_result"}, "[Search result: untitled]"),
        ({"type": "tool_reference", "tool_name": "mcp__x__y"}, "[Loaded tool: mcp__x__y]"),
        ({"type": "tool_reference"}, "[Loaded tool: unnamed]"),
        (PAGE, "[Document: Home]\nhello"),
        ({**PAGE, "title": None, "context": "of 2020"}, "[Document]\n[Context: of 2020]\nhello"),
        ({"type": "document", "source": {"type": "text"}}, "[Document]"),
        ({"type": "document", "source": {"type": "content", "content": "inner"}}, "[Document]\ninner"),
        (
            {"type": "document", "source": {"type": "content", "content": [text("one"), IMAGE]}},
            "[Document]\none\n[image]",
        ),
        (
            {
                "type": "document",
                "title": "P",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "x"},
            },
            "[Document: P]\n[application/pdf]",
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x.y"}}, "[Document]\n[https://x.y]"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, "[Document]\n[f]"),
        ({"type": "document"}, "[Document]\n[no content]"),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "ä"}},
            '[Called web_search: {"query":"ä"}]',
        ),
        ({"type": "mcp_tool_use"}, "[Called a tool: {}]"),
        ({"type": "mcp_tool_result", "content": [text("out")], "is_error": True}, "[Error result of a tool]\nout"),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [
                    {"type": "web_search_result", "url": "https://x.y", "title": "X", "encrypted_content": "z"},
                    {"type": "web_search_result"},
                ],
            },
            "[Web search results]\n- X: https://x.y\n- untitled: ",
        ),
        (
            {
                "type": "web_search_tool_result",
                "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
            },
            "[Web search results]\n[web_search_tool_result_error: max_uses_exceeded]",
        ),
        (
            {
                "type": "web_fetch_tool_result",
                "content": {"type": "web_fetch_result", "url": "https://x.y", "content": PAGE},
            },
            "[Fetched https://x.y]\n[Document: Home]\nhello",
        ),
        ({"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result"}}, "[Fetched a page]"),
        ({"type": "web_fetch_tool_result"}, "[web_fetch_tool_result]"),
        (
            {
                "type": "code_execution_tool_result",
                "content": {
                    "type": "code_execution_result",
                    "stdout": "1\n",
                    "stderr": "warn",
                    "return_code": 0,
                    "content": [{"type": "code_execution_output", "file_id": "file_1"}],
                },
            },
            "[Ran code, return code 0]\n1\n\nwarn\n[code_execution_output: file_1]",
        ),
        (
            {
                "type": "bash_code_execution_tool_result",
                "content": {"type": "bash_code_execution_result", "content": []},
            },
            "[Ran code]",
        ),
        (
            {
                "type": "text_editor_code_execution_tool_result",
                "content": {"type": "text_editor_code_execution_view_result", "content": "line", "file_type": "text"},
            },
            "[text_editor_code_execution_view_result]\nline",
        ),
        (
            {
                "type": "tool_search_tool_result",
                "content": {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": name} for name in ("A", "B")],
                },
            },
            "[Loaded tool: A]\n[Loaded tool: B]",
        ),
        (
            {"type": "tool_search_tool_result", "content": {"type": "tool_search_tool_search_result"}},
            "[Loaded no tool]",
        ),
        ({"type": "compaction", "content": "so far"}, "[Summary of the conversation so far]\nso far"),
        ({"type": "container_upload", "file_id": "file_1"}, "[Uploaded file: file_1]"),
        ({"type": "advisor_tool_result", "content": {"type": "advisor_result", "text": "do"}}, "[advisor_result]\ndo"),
        (
            {"type": "no\nvel", "title": "T", "content": "c", "tool_references": [{"type": "tool_reference"}]},
            "[no_vel: T]\nc\n[Loaded tool: unnamed]",
        ),
        ({"type": "x" * 100}, f"[{'x' * 64}]"),
    ],
)
def test_every_block_has_a_text(fields: Json, expected: str) -> None:
    assert as_text(block(**fields)) == expected


def test_content_in_every_form() -> None:
    assert content_of(block(type="tool_result")) == []
    assert content_of(block(type="tool_result", content=" ")) == []
    assert content_of(block(type="tool_result", content="x")) == [block(type="text", text="x")]
    assert content_of(block(type="web_fetch_tool_result", content={"type": "a"})) == [block(type="a")]
    assert content_of(block(type="tool_result", content=[text(""), IMAGE])) == [block(**IMAGE)]
