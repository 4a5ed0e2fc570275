"""The estimate against the o200k_base vocabulary, and against Anthropic's formulas for images and files."""

import base64
import gzip
import hashlib
import importlib.resources
import itertools
import json
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import truth
from corpus.bodies import HALVES, Dice, bodies, session, written
from dragoman.messages import estimate
from dragoman.messages.body import Body, KnownTools
from dragoman.messages.request import decode

CORPUS = [(half, name, body) for half in HALVES for name, body in bodies(half)]


def body_of(body: dict[str, Any]) -> Body:
    return decode(json.dumps({"model": "m", "messages": [], **body}).encode(), counting=True).body


def tokens(**body: Any) -> int:
    return estimate.tokens(body_of(body))


def of_blocks(*blocks: dict[str, Any]) -> int:
    """Tokens of a turn with these blocks, without the turn."""
    return tokens(messages=[{"role": "user", "content": list(blocks)}]) - tokens(messages=[{"role": "user"}])


def text_of(size: int) -> str:
    return "The quick brown fox jumps over the lazy dog. " * size


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60
    assert len({json.dumps(body) for _, _, body in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize(("half", "name", "body"), CORPUS, ids=[f"{half}-{name}" for half, name, _ in CORPUS])
def test_a_body_is_within_15_percent(half: str, name: str, body: dict[str, Any]) -> None:
    expected = truth.tokens(body)
    if expected > 1000:
        assert estimate.tokens(body_of(body)) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("half", HALVES)
def test_a_half_is_within_5_percent(half: str) -> None:
    expected = found = 0
    for _, body in bodies(half):
        expected += truth.tokens(body)
        found += estimate.tokens(body_of(body))
    assert found == pytest.approx(expected, rel=0.05)


def test_the_vocabulary_is_the_published_one() -> None:
    """The digest that tiktoken checks its download against."""
    packed = importlib.resources.files("bpe_openai.data").joinpath("o200k_base.tiktoken.gz").read_bytes()
    digest = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == digest
    assert truth.ENCODING.encode("hello world") == [24912, 2375]


def test_of_a_large_body_only_a_part_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    large = session(Dice("calibration", "large"), written("calibration"), 74)
    body = body_of(large)
    real, measured = estimate._units, []

    def units(text: bytes) -> int:
        measured.append(len(text))
        return real(text)

    monkeypatch.setattr(estimate, "_units", units)
    estimate.tokens(body)
    assert len(json.dumps(large)) > 200_000
    assert 10_000 < sum(measured) < 40_000


def test_a_sample_stands_for_the_whole() -> None:
    text = text_of(2000)
    assert estimate.output_tokens(text) == pytest.approx(truth.count(text), rel=0.1)
    assert estimate.output_tokens("é" + text) == pytest.approx(estimate.output_tokens(text), rel=0.02)


@given(st.text(), st.text())
def test_more_text_costs_no_less(first: str, second: str) -> None:
    assert estimate.output_tokens(first + second) >= estimate.output_tokens(first) >= (1 if first else 0)


@given(st.text(max_size=400))
def test_pairs_are_two_classes(text: str) -> None:
    raw = text.encode()
    pairs = estimate.pairs(raw)
    assert len(pairs) == len(raw)
    assert all(pair >> 4 == before & 15 for before, pair in itertools.pairwise(pairs))
    assert not pairs or pairs[0] >> 4 == 9


def test_a_lone_surrogate_is_counted() -> None:
    assert estimate.output_tokens("\ud83d") >= 1


def test_nothing_costs_nothing() -> None:
    assert estimate.output_tokens("") == 0
    assert tokens() == 0
    assert of_blocks() == 0
    assert of_blocks({"type": "from_the_future", "novelty": "word " * 50}) == 0


def test_texts_are_found_wherever_they_are() -> None:
    text = text_of(10)
    one = estimate.output_tokens(text)
    inner = {"type": "text", "text": text}
    assert tokens(system=text) == one
    assert tokens(system=[inner]) == one
    assert tokens(messages=[{"role": "user", "content": text}]) == one + 3
    for block in (
        inner,
        {"type": "thinking", "thinking": text, "signature": "x" * 500},
        {"type": "tool_result", "tool_use_id": "t", "content": text},
        {"type": "tool_result", "tool_use_id": "t", "content": [inner]},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}},
        {"type": "document", "source": {"type": "content", "content": text}},
        {"type": "document", "source": {"type": "content", "content": [inner]}},
        {"type": "document", "title": text, "source": {"type": "content"}},
        {"type": "search_result", "source": text, "content": []},
        {"type": "compaction", "content": text},
        {"type": "code_execution_tool_result", "content": {"type": "code_execution_result", "stdout": text}},
    ):
        assert of_blocks(block) == pytest.approx(one, abs=2), block["type"]
    assert of_blocks({"type": "redacted_thinking", "data": "x" * 5000}) == 0


def test_calls_and_schemas_are_json_text() -> None:
    call = {"path": "/tmp/a.py", "limit": 100}
    one = of_blocks({"type": "tool_use", "id": "t", "name": "read_file", "input": call})
    assert one == pytest.approx(truth.count("read_file") + truth.count(json.dumps(call)), abs=2)
    assert of_blocks({"type": "tool_use", "id": "t", "name": None, "input": call}) < one
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": text_of(5)}}}
    size = truth.count(json.dumps(schema))
    for body in (
        {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        {"output_format": {"type": "json_schema", "schema": schema}},
        {"tools": [{"name": "weather", "input_schema": schema}]},
    ):
        assert tokens(**body) == pytest.approx(size, rel=0.2)


def test_tools_that_the_api_knows_have_documented_costs() -> None:
    assert tokens(tools=[{"type": "bash_20250124", "name": "bash"}]) == 245
    assert tokens(tools=[{"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]) == 700
    assert tokens(tools=[{"type": "computer_20251124", "name": "computer"}]) == 735
    assert tokens(tools=[{"type": "web_search_20260318", "name": "web_search"}]) == 300
    custom = {"type": "custom", "name": "bash", "description": "Runs a command.", "input_schema": {}}
    assert tokens(tools=[custom]) == tokens(tools=[{**custom, "type": None}]) < 20


@pytest.mark.parametrize(
    "text", ['Zeile\n\tmit "Zitat" und \\ ', "\x1b[31mrot\x1b[0m ", "漢字と仮名", "Привет, мир. ", "😀 "]
)
def test_escapes_do_not_count(text: str) -> None:
    block = {"type": "text", "text": text * 400}
    body = {"model": "m", "messages": [{"role": "user", "content": [block]}]}
    plain, escaped = (json.dumps(body, ensure_ascii=ascii_only).encode() for ascii_only in (False, True))
    string = json.dumps(body | {"messages": [{"role": "user", "content": text * 400}]}).encode()
    expected = estimate.tokens(decode(string, counting=True).body)
    for raw in (plain, escaped):
        # A slice holds few characters when all of them are escaped.
        assert estimate.tokens(decode(raw, counting=True).body) == pytest.approx(expected, rel=0.1)


def test_what_looks_like_half_a_character_is_no_error() -> None:
    assert of_blocks({"type": "text", "text": r"\ud83d " * 10}) > 10


def test_the_text_of_any_block_counts() -> None:
    assert of_blocks({"type": "novelty", "text": text_of(10)}) == of_blocks({"type": "text", "text": text_of(10)})


def test_tools_that_are_remembered_count_as_others_do() -> None:
    tool = {"name": "late", "description": text_of(300), "input_schema": {}}
    bash = {"type": "bash_20250124", "name": "bash"}
    small = tokens(tools=[tool | {"description": text_of(1)}, bash])
    assert isinstance(body_of({"tools": [tool, bash]}).tools, KnownTools)
    assert tokens(tools=[tool, bash]) - small == pytest.approx(299 * 10, rel=0.1)
    late = [tool | {"defer_loading": True}, bash]
    assert tokens(tools=late) == tokens(tools=[bash])
    called = {"role": "user", "content": [{"type": "tool_reference", "tool_name": "late"}]}
    assert tokens(tools=late, messages=[called]) > tokens(tools=late) + 2500


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "late"}]}],
        [
            {
                "type": "tool_search_tool_result",
                "content": {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": "late"}],
                },
            }
        ],
        [{"type": "tool_addition", "tool": {"type": "tool_reference", "name": "late"}}],
    ],
)
def test_a_deferred_tool_counts_once_it_is_named(blocks: list[dict[str, Any]]) -> None:
    late = {"name": "late", "description": text_of(20), "input_schema": {}, "defer_loading": True}
    other = {**late, "name": "other"}
    assert tokens(tools=[late, other]) == 0
    named = {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": blocks}]}
    assert tokens(tools=[late, other], **named) - tokens(**named) == pytest.approx(truth.count(text_of(20)), rel=0.2)


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\0\0\0" + bytes(400)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(100)


def jpeg(width: int, height: int) -> bytes:
    head = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(9)
    for _ in range(3):  # a preview and profiles before the frame
        head += b"\xff\xe1" + struct.pack(">H", 60_001) + bytes(59_999)
    head += b"\xff\xc4" + struct.pack(">H", 20) + bytes(18)
    return head + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(300)


def webp(width: int, height: int, kind: bytes) -> bytes:
    size = {
        b"VP8 ": bytes(4) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": bytes(4) + b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14),
        b"VP8X": bytes(8) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    }[kind]
    return b"RIFF" + bytes(4) + b"WEBP" + kind + size + bytes(100)


FORMATS = [
    png,
    gif,
    jpeg,
    *(lambda width, height, kind=kind: webp(width, height, kind) for kind in (b"VP8 ", b"VP8L", b"VP8X")),
]


@pytest.mark.parametrize("make", FORMATS, ids=["png", "gif", "jpeg", "webp", "webp lossless", "webp extended"])
@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (200, 200, 53),
        (1000, 1000, 1333),
        (1092, 1092, 1590),
        (4000, 4000, 1600),  # both limits
        (3136, 784, 820),  # the long edge is halved
        (1, 1, 1),
    ],
)
def test_images_cost_their_pixels(make: Any, width: int, height: int, expected: int) -> None:
    payload = base64.b64encode(make(width, height)).decode()
    assert estimate.image(payload) == expected
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": payload}}
    assert of_blocks(block) == expected
    assert of_blocks({"type": "tool_result", "tool_use_id": "t", "content": [block]}) == expected


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "=",
        "é",
        base64.b64encode(b"not an image").decode(),
        base64.b64encode(png(0, 10)).decode(),
        base64.b64encode(png(10, 10)[:18]).decode(),
        base64.b64encode(b"\xff\xd8").decode(),
        base64.b64encode(b"\xff\xd8\x00\x00\x00\x00").decode(),
        base64.b64encode(b"\xff\xd8" + b"\xff\xe0\0\x02" * 80).decode(),
        base64.b64encode(jpeg(10, 10)[:60_000]).decode(),
    ],
)
def test_an_image_that_tells_nothing_costs_the_most(payload: str) -> None:
    assert estimate.image(payload) == 1600


def test_an_image_elsewhere_costs_the_most() -> None:
    assert of_blocks({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}) == 1600


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode()))
def test_no_payload_raises(payload: str) -> None:
    assert 1 <= estimate.image(payload) <= 1600
    assert estimate.pdf(payload) >= 3000


def document(raw: bytes) -> dict[str, Any]:
    payload = base64.b64encode(b"%PDF-1.7\n" + raw).decode()
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": payload}}


@pytest.mark.parametrize(
    ("raw", "pages"),
    [
        (b"1 0 obj <</Linearized 1/L 900/O 3/N 12/T 800>> endobj", 12),
        (b"2 0 obj <</Type /Pages /Kids [3 0 R 4 0 R] /Count 7>> endobj", 7),
        (bytes(100_000) + b"2 0 obj <</Count 31 /Type/Pages>> endobj", 31),
        (b"<</Type /Page >> <</Type/Page /Parent 2 0 R>>", 2),
        (bytes(600_000), 10),
        (b"<</Type /Pages /Count 99999>>", 600),
        (b"<</Type /Pages /Count 12345678901234567890>>", 1),
        (b"", 1),
    ],
)
def test_files_cost_their_pages(raw: bytes, pages: int) -> None:
    assert of_blocks(document(raw)) == pages * 3000


def test_a_file_elsewhere_costs_a_page() -> None:
    assert of_blocks({"type": "document", "source": {"type": "file", "file_id": "file_1"}}) == 3000
    assert of_blocks({"type": "container_upload", "source": {"type": "file", "file_id": "file_1"}}) == 0


def test_an_estimate_is_made_when_somebody_asks_and_keeps_no_body() -> None:
    body = body_of({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 4000}]})
    made = estimate.Estimate(body, 4000)
    kept = sys.getrefcount(body)
    assert made.tokens() == made.tokens() == estimate.tokens(body) > 300
    assert sys.getrefcount(body) < kept
    assert made == estimate.Estimate(body, 1)
    assert made != estimate.NO_ESTIMATE
    assert made != made.tokens()
