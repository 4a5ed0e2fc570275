"""A scripted api.anthropic.com: strict like the original, and it records what it was asked, and what it answered.

It keeps nothing of a conversation but which calls stood behind which thinking: that must come back as it was issued.
https://platform.claude.com/docs/en/api/messages and
https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from clients import scripted
from clients.claude_rules import BETAS, NEW, OLD, THINKING, ClaudeRefused, blocks, check, family, merged, thinks
from clients.responses_rules import Json

PIECE = re.compile(r"\S+\s*|\s+")
LIMITS = {
    "anthropic-organization-id": "a0a0a0a0-0000-4000-8000-000000000001",
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2026-11-20T10:00:00Z",
    "anthropic-ratelimit-input-tokens-limit": "2000000",
    "anthropic-ratelimit-input-tokens-remaining": "1987000",
    "anthropic-ratelimit-input-tokens-reset": "2026-11-20T10:00:01Z",
}
OF_THE_HOST = {
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "set-cookie": "_cfuvid=canary-cookie; path=/; domain=.anthropic.com; HttpOnly; Secure",
    "via": "1.1 google",
    "cf-ray": "9a1b2c3d4e5f6a7b-FRA",
}
MODIFIED = (
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These blocks must "
    "remain as they were in the original response."
)
ENVELOPE = b"\x08\x01"  # in front of the container, since Claude 5


class Asked(Struct):
    """One request, in the bytes that came; and the bytes of the body that went back."""

    path: str
    query: str
    headers: list[tuple[str, str]]  # in their order, names as they were written
    body: bytes
    answered: bytes = b""
    request_id: str = ""

    @property
    def named(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers}

    @property
    def betas(self) -> list[str]:
        return [beta.strip() for beta in self.named.get("anthropic-beta", "").split(",") if beta.strip()]


class Output(Struct, kw_only=True):
    """What to send back: `blocks` are drafts, made by the functions below; the server signs them and gives them ids."""

    blocks: list[Json] = []
    stop: str | None = None  # stop_reason; None: what follows from the blocks
    sequence: str | None = None  # stop_sequence
    details: Json | None = None  # stop_details
    late: Json | None = None  # an error object as the last event of the stream
    status: int = 200
    error: bytes | None = None  # a whole body
    raw: bytes | None = None  # a body as it is, whatever was asked
    headers: dict[str, str] = {}
    cut: int | None = None  # bytes for each write of a stream; None: one for each event
    pause: float = 0.0  # seconds between writes
    cut_after: int | None = None  # writes, after which the connection is dropped


def thought(text: str) -> Json:
    return {"type": "thinking", "thinking": text}


def hidden(text: str) -> Json:
    """Thinking that nobody may read."""
    return {"type": "redacted_thinking", "text": text}


def said(text: str) -> Json:
    return {"type": "text", "text": text}


def called(name: str, given: Json) -> Json:
    return {"type": "tool_use", "name": name, "input": given}


def searched(query: str, pages: dict[str, str], text: str) -> list[Json]:
    """A web search of the server's own, what it found (URL -> title), and words that cite the first page."""
    found = [{"type": "web_search_result", "url": url, "title": title} for url, title in pages.items()]
    use = {"type": "server_tool_use", "name": "web_search", "input": {"query": query}}
    return [
        use,
        {"type": "web_search_tool_result", "content": found},
        {"type": "text", "text": text, "cites": found[0]},
    ]


def words(text: str) -> Output:
    return Output(blocks=[said(text)])


def failure(status: int, message: str, *, kind: str = "", **headers: str) -> Output:
    """An error in Anthropic's envelope. `_` in the name of a header stands for `-`."""
    error = ClaudeRefused(message, status=status).told("req_failed")
    error["error"]["type"] = kind or error["error"]["type"]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Output(status=status, error=packed(error), headers={"request-id": "req_failed", **named})


def packed(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def counted(body: Json) -> int:
    """Tokens of a request, as this server counts them: in the usage, and at `count_tokens`."""
    seen = {name: body[name] for name in ("messages", "system", "tools") if body.get(name)}
    return len(json.dumps(seen, ensure_ascii=False, sort_keys=True)) // 4


def results(body: Json) -> list[Json]:
    """The results of tools in a request."""
    return [block for turn in body["messages"] for block in blocks(turn) if block["type"] == "tool_result"]


def thoughts(body: Json) -> list[Json]:
    """The blocks of thinking in a request."""
    return [block for turn in body["messages"] for block in blocks(turn) if block["type"] in THINKING]


class Seals:
    """Signs thinking and what was found in the web, and verifies what comes back.

    `bound`: a block holds only behind the very conversation that it was made for, as for Claude Fable 5.1. `demand`:
    "all" misses each block that was issued with a call; "whole" takes a turn without any, as Anthropic does.
    """

    def __init__(self, maker: str, *, bound: bool = True, demand: Literal["all", "whole"] = "all") -> None:
        self.maker = maker
        self.bound = bound
        self.demand = demand
        self._serial = count(1)
        self._issued: dict[str, list[str]] = {}  # id of a call -> the signatures of the answer that it was in

    def number(self) -> int:
        return next(self._serial)

    def identity(self, prefix: str) -> str:
        made = hmac.digest(self.maker.encode(), str(self.number()).encode(), "sha256").hex()
        return f"{prefix}_01{made[:22]}"

    def seal(self, said: str, place: bytes, *, newer: bool = False) -> str:
        """A signature for a text at a place of a conversation. `newer`: in the form of Claude 5."""
        signer = b"\x0a\x04\x08\x0c\x18\x02"
        inner = place[:8].ljust(8) + self.number().to_bytes(8, "big")
        body = inner + self._mac(said, inner)
        container = signer + b"\x12" + bytes([len(body)]) + body
        return base64.b64encode(ENVELOPE * newer + b"\x12" + bytes([len(container)]) + container + b"\x18\x01").decode()

    def issue(self, made: list[Json]) -> None:
        signatures = [block.get("signature") or block["data"] for block in made if block["type"] in THINKING]
        self._issued |= {block["id"]: signatures for block in made if block["type"] == "tool_use"}

    def check(self, body: Json) -> None:
        """Raises Refused for thinking that was not issued here, that was changed, or that is missing."""
        behind = Behind(body)
        on = thinks(body) is not None
        for number, turn in enumerate(body["messages"]):
            content = blocks(turn)
            for at, block in enumerate(content):
                self._verify(block, f"messages.{number}.content.{at}", behind.place)
                behind.add(turn["role"], block)
        for number, role, content in merged(body["messages"]):
            if role != "assistant" or not on:
                continue
            there = [block.get("signature") or block.get("data") for block in content if block["type"] in THINKING]
            issued = {each for block in content for each in self._issued.get(block.get("id", ""), ())}
            if not issued <= set(there) and (there or self.demand == "all"):
                raise ClaudeRefused(f"messages.{number}.content.0: {MODIFIED}")

    def _verify(self, block: Json, place: str, behind: bytes) -> None:
        match block["type"]:
            case "thinking":
                self._open(block["signature"], block["thinking"], behind, f"{place}: Invalid `signature` in `thinking`")
            case "redacted_thinking":
                self._open(block["data"], "", behind, f"{place}: Invalid `data` in `redacted_thinking`")
            case "web_search_tool_result" if isinstance(block["content"], list):
                for found in block["content"]:
                    wrong = f"{place}: Invalid `encrypted_content` in `web_search_result`"
                    self._open(found.get("encrypted_content", ""), found["url"], None, wrong)
            case "text":
                for cited in block.get("citations") or []:
                    if cited["type"] == "web_search_result_location":
                        wrong = f"{place}.citations: Invalid `encrypted_index` in `web_search_result_location`"
                        self._open(cited.get("encrypted_index", ""), cited["url"], None, wrong)

    def _open(self, signature: str, text: str, behind: bytes | None, wrong: str) -> None:
        try:
            raw = base64.b64decode(signature, validate=True).removeprefix(ENVELOPE)
        except (binascii.Error, ValueError):
            raw = b""
        inner, mac = raw[10:26], raw[26:42]
        if len(mac) < 16 or not hmac.compare_digest(mac, self._mac(text, inner)):
            raise ClaudeRefused(f"{wrong} block")
        if self.bound and behind is not None and inner[:8] != behind[:8]:
            raise ClaudeRefused(
                f"{wrong} block. The block is bound to a different conversation. Remove the block, or set "
                '`thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
            )

    def _mac(self, said: str, inner: bytes) -> bytes:
        return hmac.digest(self.maker.encode(), inner + said.encode(), "sha256")[:16]


class Behind:
    """What a block stands behind: the system prompt, the tools, and the conversation up to there.

    Breakpoints of caches move, and clients write the same in several forms; inputs of calls get defaults.
    """

    def __init__(self, body: Json) -> None:
        system = body.get("system") or []
        self._hash = hashlib.sha256()
        self._add([block["text"] for block in blocks({"content": system})])
        self._add([tool.get("name") for tool in body.get("tools") or []])

    @property
    def place(self) -> bytes:
        return self._hash.digest()

    def add(self, role: str, block: Json) -> None:
        kept = {name: value for name, value in block.items() if name not in ("cache_control", "input", "citations")}
        if kept["type"] == "tool_result":
            content = kept.pop("content", None) or []
            kept["content"] = [
                {name: value for name, value in inner.items() if name != "cache_control"}
                for inner in blocks({"content": content})
            ]
            kept.setdefault("is_error", False)
        self._add([role, {name: value for name, value in kept.items() if value is not None}])

    def _add(self, value: Any) -> None:
        self._hash.update(json.dumps(value, sort_keys=True).encode())


class Host:
    """One scripted host: what it was asked, and what it refused.

    `strict`: it checks what the original checks; else it answers whatever comes.
    """

    def __init__(
        self, brain: Callable[[Json], Output], *, key: str | None = None, strict: bool = True, bound: bool = True
    ) -> None:
        self.brain = brain
        self.key = key
        self.strict = strict
        self.seals = Seals(f"anthropic {key}", bound=bound)
        self.asked: list[Asked] = []
        self.requests: list[Json] = []  # bodies at /v1/messages
        self.counts: list[Json] = []  # at /v1/messages/count_tokens
        self.complaints: list[str] = []  # messages of the requests that were refused for their form
        self.cut_short = 0
        self.url = ""

    def door(self, asked: Asked) -> None:
        """Raises Refused for who may not come in."""
        headers = asked.named
        bearer = headers.get("authorization")
        if bearer is not None and "x-api-key" in headers:
            raise ClaudeRefused("x-api-key and Authorization: only one of them may be given", status=401)
        if bearer is None and "x-api-key" not in headers:
            raise ClaudeRefused("x-api-key header is required", status=401)
        if bearer is not None and bearer != f"Bearer {self.key}":
            raise ClaudeRefused("Invalid bearer token", status=401)
        if bearer is None and headers["x-api-key"] != self.key:
            raise ClaudeRefused("invalid x-api-key", status=401)

    def take(self, asked: Asked) -> Json:
        """The body of a request. Raises Refused."""
        if not self.strict:
            return json.loads(asked.body)  # type: ignore[no-any-return]
        self.door(asked)
        version = asked.named.get("anthropic-version")
        if version is None:
            raise ClaudeRefused("anthropic-version: header is required")
        if version not in (OLD, NEW):
            raise ClaudeRefused(f'anthropic-version: "{version}" is not a valid version')
        if "content-type" not in asked.named or "application/json" not in asked.named["content-type"]:
            raise ClaudeRefused("content-type: must be application/json")
        unknown = [beta for beta in asked.betas if not beta.startswith(BETAS)]
        if unknown:
            raise ClaudeRefused(f"Unexpected value(s) `{'`, `'.join(unknown)}` for the `anthropic-beta` header.")
        if dict(parse_qsl(asked.query)) not in ({}, {"beta": "true"}):
            raise ClaudeRefused(f"unknown query {asked.query}")
        body: Json = json.loads(asked.body)
        counting = asked.path.endswith("count_tokens")
        (self.counts if counting else self.requests).append(body)
        check(body, version=version, betas=asked.betas, counting=counting)
        self.seals.check(body)
        return body

    def message(self, output: Output, body: Json) -> Json:
        """The answer in Anthropic's form."""
        made = self._issued(output.blocks, body)
        stop = output.stop or ("tool_use" if any(block["type"] == "tool_use" for block in made) else "end_turn")
        return {
            "model": body["model"], "id": self.seals.identity("msg"), "type": "message", "role": "assistant",
            "content": made, "stop_reason": stop, "stop_sequence": output.sequence, "stop_details": output.details,
            "usage": _usage(output, body),
        }  # fmt: skip

    def _issued(self, drafts: list[Json], body: Json) -> list[Json]:
        """The blocks, signed and with their ids. Nobody who did not ask for thinking gets any."""
        shown = (body.get("thinking") or {}).get("display")
        shows = family(body["model"]).shown if shown is None else shown != "omitted"
        newer = not family(body["model"]).shown
        behind = Behind(body)
        for turn in body["messages"]:
            for block in blocks(turn):
                behind.add(turn["role"], block)
        made: list[Json] = []
        searches = ""
        for draft in drafts:
            kind = draft["type"]
            if kind in THINKING and thinks(body) is None:
                continue
            if kind == "thinking":
                text = draft["thinking"] if shows else ""
                block = {**draft, "thinking": text, "signature": self.seals.seal(text, behind.place, newer=newer)}
            elif kind == "redacted_thinking":
                block = {"type": kind, "data": self.seals.seal("", behind.place, newer=newer)}
            elif kind == "tool_use":
                block = {"type": kind, "id": self.seals.identity("toolu"), **draft}
            elif kind == "server_tool_use":
                searches = self.seals.identity("srvtoolu")
                block = {"type": kind, "id": searches, **draft}
            elif kind == "web_search_tool_result":
                found = [
                    {**each, "encrypted_content": self.seals.seal(each["url"], b""), "page_age": None}
                    for each in draft["content"]
                ]
                block = {"type": kind, "tool_use_id": searches, "content": found}
            else:
                block = self._text(draft)
            made.append(block)
            behind.add("assistant", block)
        self.seals.issue(made)
        return made

    def _text(self, draft: Json) -> Json:
        cited = draft.get("cites")
        if cited is None:
            return draft
        citation = {
            "type": "web_search_result_location", "cited_text": draft["text"], "url": cited["url"],
            "title": cited["title"], "encrypted_index": self.seals.seal(cited["url"], b""),
        }  # fmt: skip
        return {"type": "text", "text": draft["text"], "citations": [citation]}

    def frames(self, output: Output, body: Json) -> Iterator[bytes]:
        message = self.message(output, body)
        content, stop, usage = message["content"], message["stop_reason"], message["usage"]
        opening = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        yield frame("message_start", message=opening)
        for index, block in enumerate(content):
            begun, deltas = _begin(block)
            yield frame("content_block_start", index=index, content_block=begun)
            if index == 0:
                yield frame("ping")
            for delta in deltas:
                yield frame("content_block_delta", index=index, delta=delta)
            yield frame("content_block_stop", index=index)
        if output.late is not None:
            yield frame("error", error=output.late)
            return
        ending = {"stop_reason": stop, "stop_sequence": output.sequence, "stop_details": output.details}
        yield frame("message_delta", delta=ending, usage={"output_tokens": usage["output_tokens"]})
        yield frame("message_stop")


def _begin(block: Json) -> tuple[Json, list[Json]]:
    """A block as it starts in a stream, and its deltas."""
    match block["type"]:
        case "text":
            texts = [{"type": "text_delta", "text": piece} for piece in PIECE.findall(block["text"])]
            cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations", [])]
            return {**block, "text": "", **({"citations": []} if cited else {})}, [*cited, *texts]
        case "thinking":
            texts = [{"type": "thinking_delta", "thinking": piece} for piece in PIECE.findall(block["thinking"])]
            last = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*texts, last]
        case "tool_use" | "server_tool_use":
            raw = json.dumps(block["input"], ensure_ascii=False)
            step = max(1, len(raw) // 3)
            pieces = ["", *(raw[at : at + step] for at in range(0, len(raw), step))]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": each} for each in pieces]
        case _:
            return block, []


def frame(name: str, **more: Any) -> bytes:
    """An event, with spaces before the end of its JSON, as Anthropic writes them."""
    raw = packed({"type": name, **more})
    return b"event: %b\ndata: %b%b}\n\n" % (name.encode(), raw[:-1], b" " * (len(raw) % 13))


def _usage(output: Output, body: Json) -> Json:
    prompt = counted(body)
    produced = sum(len(json.dumps(draft)) // 4 for draft in output.blocks)
    created = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    return {
        "input_tokens": prompt, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "cache_creation": created, "output_tokens": produced, "service_tier": "standard",
    }  # fmt: skip


class _Handler(scripted.Handler):
    host: Host

    def post(self) -> None:
        host = self.host
        place = urlsplit(self.path)
        asked = Asked(place.path, place.query, list(self.headers.items()), self.body())
        asked.request_id = host.seals.identity("req")
        host.asked.append(asked)
        try:
            self.reply(host, asked)
        except ClaudeRefused as refused:
            if refused.status in (400, 404):
                host.complaints.append(refused.message)
            self.bytes(asked, refused.status, {}, packed(refused.told(asked.request_id)))
        except (BrokenPipeError, ConnectionResetError):
            host.cut_short += 1
            self.close_connection = True

    def reply(self, host: Host, asked: Asked) -> None:
        if asked.path not in ("/v1/messages", "/v1/messages/count_tokens"):
            raise ClaudeRefused("Not found", status=404)
        body = host.take(asked)
        if asked.path.endswith("count_tokens"):
            number = counted(body)
            more = {"context_management": {"original_input_tokens": number}} if "context_management" in body else {}
            self.bytes(asked, 200, {}, packed({"input_tokens": number, **more}))
            return
        output = host.brain(body)
        if output.error is not None:
            self.bytes(asked, output.status, output.headers, output.error)
        elif not body.get("stream"):
            raw = packed(host.message(output, body)) if output.raw is None else output.raw
            self.bytes(asked, output.status, output.headers, raw)
        else:
            frames = host.frames(output, body) if output.raw is None else iter([output.raw])
            pieces = frames if output.cut is None else _cut(b"".join(frames), output.cut)
            heading = {**_heading(asked), **output.headers}
            self.stream(_kept(asked, pieces), pause=output.pause, cut_after=output.cut_after, headers=heading)

    def bytes(self, asked: Asked, status: int, headers: dict[str, str], raw: bytes) -> None:
        asked.answered = raw
        self.send_response(status)
        for name, text in {"content-type": "application/json", **_heading(asked), **headers}.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _heading(asked: Asked) -> dict[str, str]:
    """What Anthropic says to everybody."""
    return {"request-id": asked.request_id, **LIMITS, **OF_THE_HOST}


def _cut(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[at : at + size] for at in range(0, len(raw), size))


def _kept(asked: Asked, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, remembered when they go out."""
    for piece in pieces:
        asked.answered += piece
        yield piece


@contextmanager
def hosting(host: Host) -> Iterator[Host]:
    """Run the server for the length of a `with` block; `host.url` is the base URL."""
    with scripted.listening(type("Handler", (_Handler,), {"host": host})) as url:
        host.url = url
        yield host
