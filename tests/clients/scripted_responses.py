"""A scripted OpenAI: Responses, and Chat Completions beside it; strict like the original, and it records requests.

It keeps nothing of a conversation, as with `store: false`: a reasoning item must come back with the encrypted content
that was issued for it, right before the item that it led to.
https://platform.openai.com/docs/guides/reasoning#keeping-reasoning-items-in-context
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from clients import scripted
from clients.responses_rules import COUNTED_FIELDS, Json, Refused, check, reasons
from clients.scripted import Answer

PIECE = re.compile(r"\S+\s*|\s+")


class Output(Struct, kw_only=True):
    """What to send back: `items` are drafts, made by the functions below; the server gives them ids and seals."""

    items: list[Json] = []
    incomplete: str | None = None  # reason of an incomplete answer
    failed: Json | None = None  # `error` of a response that fails after its items
    event: Json | None = None  # a bare `error` event after the items
    status: int = 200
    headers: dict[str, str] = {}
    error: Json | None = None
    pause: float = 0.0  # seconds between events
    cut_after: int | None = None  # events, after which the connection is dropped


def thought(*summaries: str) -> Json:
    """A reasoning item; its summaries are shown only to those who ask for them."""
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in summaries]}


def said(text: str, *citations: Json, phase: str | None = None) -> Json:
    part = {"type": "output_text", "text": text, "annotations": list(citations), "logprobs": []}
    return {"type": "message", "role": "assistant", "content": [part], **({"phase": phase} if phase else {})}


def declined(text: str) -> Json:
    return {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": text}]}


def called(name: str, arguments: Json, call_id: str | None = None) -> Json:
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments), "call_id": call_id}


def searched(query: str, *urls: str) -> Json:
    sources = [{"type": "url", "url": url} for url in urls]
    return {"type": "web_search_call", "action": {"type": "search", "query": query, "sources": sources}}


def opened(url: str) -> Json:
    """A page that was opened, after a search found it."""
    return {"type": "web_search_call", "action": {"type": "open_page", "url": url}}


def citation(text: str, phrase: str, url: str, title: str) -> Json:
    """A link on the `phrase` in `text`."""
    start = text.index(phrase)
    return {
        "type": "url_citation", "start_index": start, "end_index": start + len(phrase), "url": url, "title": title,
    }  # fmt: skip


def words(text: str) -> Output:
    return Output(items=[said(text)])


def failure(status: int, message: str, *, code: str | None = None, **headers: str) -> Output:
    refused = scripted.failure(status, message, code=code, **headers)
    return Output(status=status, error=refused.error, headers=refused.headers)


def counted(body: Json) -> int:
    """Input tokens of a request, as this server counts them: in the usage, and at `/responses/input_tokens`."""
    seen = {name: body[name] for name in ("input", "instructions", "tools", "text") if body.get(name)}
    return len(json.dumps(seen, ensure_ascii=False, sort_keys=True)) // 4


def texts(body: Json, kind: str = "message") -> list[str]:
    """Texts of the items of one kind in the input."""
    found = []
    for item in body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]:
        if item.get("type", "message") == kind:
            content = item.get("content", item.get("output", ""))
            found.append(content if isinstance(content, str) else "".join(part.get("text", "") for part in content))
    return found


class Seals:
    """Issues encrypted content and verifies what comes back.

    `demand`: "all" misses the reasoning of everything that was issued here, known by call id or text; "ids" only of
    items that come with an id, as OpenAI does.
    """

    def __init__(self, *, demand: Literal["all", "ids"] = "all") -> None:
        self.demand = demand
        self.secret = b"one organisation"
        self._serial = count(1)
        self._needs: dict[str, set[str]] = {}  # what an item is known by -> ids of reasoning that may precede it

    def number(self) -> int:
        return next(self._serial)

    def seal(self, reasoning: Json, follower: Json | None) -> str:
        """The content of a reasoning item that led to `follower`."""
        known_by = _known_by(follower) if follower else []
        for key in known_by:
            self._needs.setdefault(key, set()).add(reasoning["id"])
        content = {"id": reasoning["id"], "number": self.number(), "next": known_by}
        raw = json.dumps(content).encode()
        return "gAAAAA" + base64.urlsafe_b64encode(self._mac(raw) + raw).decode()

    def check(self, items: list[Json]) -> None:
        """Raises Refused for reasoning that is missing, foreign, or not where it was."""
        last = 0
        for at, item in enumerate(items):
            before = items[at - 1] if at else {}
            if item.get("type") != "reasoning":
                self._needed(item, before)
                continue
            content = self._opened(item)
            follower = items[at + 1] if at + 1 < len(items) else {}
            if content["next"] and not set(content["next"]) & set(_known_by(follower)):
                raise Refused(
                    f"Item '{content['id']}' of type 'reasoning' was provided without its required following item.",
                    param="input",
                )
            if content["number"] <= last:
                raise _unverified(item, "The items are not in the order in which they were issued.")
            last = content["number"]

    def _needed(self, item: Json, before: Json) -> None:
        kind = item.get("type", "message")
        keys = _known_by(item) if self.demand == "all" else [item.get("id", "")]
        wanted = {needed for key in keys for needed in self._needs.get(key, ())}
        if not wanted or kind not in ("function_call", "message", "web_search_call"):
            return
        if before.get("type") == "reasoning" and self._opened(before)["id"] in wanted:
            return
        name = item.get("id") or item.get("call_id") or "msg"
        raise Refused(
            f"Item '{name}' of type '{kind}' was provided without its required 'reasoning' item: '{max(wanted)}'.",
            param="input",
        )

    def _opened(self, item: Json) -> Any:
        content = item.get("encrypted_content") or ""
        try:
            raw = base64.urlsafe_b64decode(content.removeprefix("gAAAAA").encode())
        except ValueError:
            raw = b""
        if not content or not hmac.compare_digest(raw[:32], self._mac(raw[32:])):
            raise _unverified(item, "Encrypted content could not be decrypted or parsed.")
        opened = json.loads(raw[32:])
        if item.get("id", opened["id"]) != opened["id"]:
            raise _unverified(item, "Encrypted content item_id did not match the target item id.")
        return opened

    def _mac(self, raw: bytes) -> bytes:
        return hmac.digest(self.secret, raw, "sha256")


def _unverified(item: Json, reason: str) -> Refused:
    content = item.get("encrypted_content") or ""
    return Refused(
        f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. Reason: {reason}",
        code="invalid_encrypted_content",
    )


def _known_by(item: Json) -> list[str]:
    """What identifies an item that may have lost its id on the way."""
    keys = [item["id"]] if item.get("id") else []
    kind = item.get("type", "message")
    if kind == "function_call":
        keys.append(item["call_id"])
    elif kind == "message" and item.get("role") == "assistant":
        content = item["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        text = "".join(part.get("text", part.get("refusal", "")) for part in parts)
        keys.append("text " + hashlib.sha256(text.encode()).hexdigest())
    return keys


class Host:
    """One scripted host: what it was asked, and what it refused."""

    base = "/v1"

    def __init__(
        self,
        brain: Callable[[Json], Output] | None,
        chat: Callable[[Json], Answer] | None = None,
        *,
        key: str | None = None,
        demand: Literal["all", "ids"] = "all",
    ) -> None:
        self.brain = brain
        self.chat = chat
        self.key = key
        self.seals = Seals(demand=demand)
        self.requests: list[Json] = []  # of Responses
        self.chats: list[Json] = []
        self.counts: list[Json] = []
        self.asked: list[str] = []  # paths, with their queries
        self.headers: list[dict[str, str]] = []
        self.complaints: list[str] = []  # messages of the requests that were refused for their form
        self.cut_short = 0
        self.url = ""

    def endpoint(self, target: str, headers: dict[str, str], model: str) -> tuple[str, str]:
        """Which of "responses", "count" and "chat" this is, and the model that is meant. Raises Refused."""
        path = urlsplit(target).path
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            raise Refused("Incorrect API key provided.", code="invalid_api_key", status=401)
        known = {"/responses": "responses", "/responses/input_tokens": "count", "/chat/completions": "chat"}
        found = known.get(path.removeprefix(self.base)) if path.startswith(self.base) else None
        if found is None or (self.chat if found == "chat" else self.brain) is None:
            raise Refused(f"Invalid URL (POST {path})", status=404)
        return found, model

    def respond(self, body: Json) -> tuple[Output, Json]:
        """The output and the response object of a request to Responses. Raises Refused."""
        check(body)
        if body.get("store") is not False:
            raise Refused("This server keeps nothing. Ask it with `store: false`.", param="store")
        self.seals.check(body["input"] if isinstance(body["input"], list) else [])
        assert self.brain is not None
        output = self.brain(body)
        items = self._issued(output.items, body)
        return output, _response(output, items, body, f"resp_{self.seals.number():08x}")

    def count(self, body: Json) -> Json:
        check(body, fields=COUNTED_FIELDS)
        self.seals.check(body["input"] if isinstance(body["input"], list) else [])
        return {"object": "response.input_tokens", "input_tokens": counted(body)}

    def talk(self, body: Json) -> Answer:
        """The answer of Chat Completions. Raises Refused."""
        assert self.chat is not None
        problem = scripted.complaint(body)
        if problem:
            raise Refused(problem)
        # https://github.com/openai/openai-openapi/issues/541
        if body.get("tools") and reasons(body["model"]) and body.get("reasoning_effort") != "none":
            raise Refused(
                f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions. "
                "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
                param="reasoning_effort",
            )
        return self.chat(body)

    def first_chunk(self) -> Json | None:
        """What a stream of Chat Completions begins with, before anything of the answer."""
        return None

    def _issued(self, drafts: list[Json], body: Json) -> list[Json]:
        asked = body.get("reasoning") or {}
        include = body.get("include") or []
        items: list[Json] = []
        for draft in drafts:
            if draft["type"] == "reasoning" and asked.get("effort") == "none":
                continue
            prefix = {"reasoning": "rs", "message": "msg", "function_call": "fc", "web_search_call": "ws"}
            item = {"id": f"{prefix[draft['type']]}_{self.seals.number():08x}", **draft}
            if item["type"] == "reasoning":
                item["summary"] = item["summary"] if asked.get("summary") else []
            else:
                item["status"] = "completed"
            if item["type"] == "function_call":
                item["call_id"] = item["call_id"] or f"call_{self.seals.number():08x}"
            if item["type"] == "web_search_call" and "web_search_call.action.sources" not in include:
                item["action"] = {name: value for name, value in item["action"].items() if name != "sources"}
            items.append(item)
        for at, item in enumerate(items):
            if item["type"] == "reasoning":
                follower = items[at + 1] if at + 1 < len(items) else None
                sealed = self.seals.seal(item, follower)
                item["encrypted_content"] = sealed if "reasoning.encrypted_content" in include else None
        return items


def _response(output: Output, items: list[Json], body: Json, identity: str) -> Json:
    status = "failed" if output.failed else "incomplete" if output.incomplete else "completed"
    produced = sum(len(json.dumps(item)) // 4 for item in items if item["type"] != "reasoning")
    thinking = sum(32 for item in items if item["type"] == "reasoning")
    prompt = counted(body)
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": produced + thinking,
        "output_tokens_details": {"reasoning_tokens": thinking},
        "total_tokens": prompt + produced + thinking,
    }
    return {
        "id": identity, "object": "response", "created_at": 1_790_000_000, "status": status, "background": False,
        "error": output.failed, "incomplete_details": {"reason": output.incomplete} if output.incomplete else None,
        "instructions": body.get("instructions"), "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None, "model": body["model"], "output": items,
        "parallel_tool_calls": body.get("parallel_tool_calls", True), "previous_response_id": None,
        "prompt_cache_key": body.get("prompt_cache_key"), "reasoning": body.get("reasoning"), "safety_identifier": None,
        "service_tier": "default", "store": False, "temperature": None, "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"), "tools": body.get("tools", []), "top_logprobs": 0,
        "top_p": None, "truncation": "disabled", "usage": usage, "user": None, "metadata": {},
        "tool_usage": _tool_usage(items),
    }  # fmt: skip


def _tool_usage(items: list[Json]) -> Json:
    none = {"input_tokens": 0, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}}
    searches = sum(item.get("action", {}).get("type") == "search" for item in items)
    return {"image_gen": {**none, "output_tokens": 0, "total_tokens": 0}, "web_search": {"num_requests": searches}}


def events(output: Output, response: Json, *, obfuscation: bool = True) -> Iterator[Json]:
    """The answer as events, in OpenAI's order, numbered.

    https://platform.openai.com/docs/api-reference/responses-streaming
    """
    for number, event in enumerate(_events(output, response)):
        padding = {"obfuscation": "x" * (number % 7)} if obfuscation and event["type"].endswith(".delta") else {}
        yield {**event, "sequence_number": number, **padding}


def _events(output: Output, response: Json) -> Iterator[Json]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "error": None}
    begun["incomplete_details"] = None
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        yield {"type": "response.output_item.added", "output_index": index, "item": _announced(item)}
        place = {"item_id": item["id"], "output_index": index}
        for event in _INNER[item["type"]](item):
            yield {**event, **place}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    if output.event is not None:
        yield {"type": "error", "param": None, **output.event}
        return
    yield {"type": f"response.{response['status']}", "response": response}


def _announced(item: Json) -> Json:
    """The item as it is announced: the encrypted content there may be incomplete."""
    match item["type"]:
        case "reasoning":
            sealed = item["encrypted_content"]
            return {**item, "summary": [], "encrypted_content": sealed and sealed[: len(sealed) // 2]}
        case "message":
            return {**item, "content": [], "status": "in_progress"}
        case "function_call":
            return {**item, "arguments": "", "status": "in_progress"}
        case _:
            return {**item, "action": {"type": "search", "query": ""}, "status": "in_progress"}


def _reasoning_events(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["summary"]):
        at = {"summary_index": index}
        empty = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", "part": empty, **at}
        for piece in PIECE.findall(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", "delta": piece, **at}
        yield {"type": "response.reasoning_summary_text.done", "text": part["text"], **at}
        yield {"type": "response.reasoning_summary_part.done", "part": part, **at}


def _message_events(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["content"]):
        at = {"content_index": index}
        field = "refusal" if part["type"] == "refusal" else "text"
        name = "response.refusal" if field == "refusal" else "response.output_text"
        more: Json = {"logprobs": []} if field == "text" else {}
        empty = {**part, field: "", **({"annotations": []} if field == "text" else {})}
        yield {"type": "response.content_part.added", "part": empty, **at}
        for piece in PIECE.findall(part[field]):
            yield {"type": f"{name}.delta", "delta": piece, **more, **at}
        for number, annotation in enumerate(part.get("annotations", [])):
            kind = "response.output_text.annotation.added"
            yield {"type": kind, "annotation": annotation, "annotation_index": number, **at}
        yield {"type": f"{name}.done", field: part[field], **more, **at}
        yield {"type": "response.content_part.done", "part": part, **at}


def _call_events(item: Json) -> Iterator[Json]:
    raw = item["arguments"]
    step = max(1, -(-len(raw) // 3))
    for at in range(0, len(raw), step):
        yield {"type": "response.function_call_arguments.delta", "delta": raw[at : at + step]}
    yield {"type": "response.function_call_arguments.done", "arguments": raw}


def _search_events(item: Json) -> Iterator[Json]:
    for stage in ("in_progress", "searching", "completed"):
        yield {"type": f"response.web_search_call.{stage}"}


_INNER = {
    "reasoning": _reasoning_events,
    "message": _message_events,
    "function_call": _call_events,
    "web_search_call": _search_events,
}


def frame(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


class _Handler(scripted.Handler):
    host: Host

    def post(self) -> None:
        host = self.host
        body = json.loads(self.body())
        headers = self.lower_headers()
        host.asked.append(self.path)
        host.headers.append(headers)
        try:
            self.answer(host, body, headers)
        except Refused as refused:
            if refused.status in (400, 404):
                host.complaints.append(refused.message)
            self.whole(refused.status, {}, refused.body)
        except (BrokenPipeError, ConnectionResetError):
            host.cut_short += 1
            self.close_connection = True

    def answer(self, host: Host, body: Json, headers: dict[str, str]) -> None:
        kind, model = host.endpoint(self.path, headers, body.get("model", ""))
        {"responses": host.requests, "chat": host.chats, "count": host.counts}[kind].append(body)
        body = {**body, "model": model}
        if kind == "count":
            self.whole(200, {}, host.count(body))
        elif kind == "chat":
            answer = host.talk(body)
            if answer.error is not None:
                self.whole(answer.status, answer.headers, answer.error)
            elif not body.get("stream"):
                self.whole(200, {}, scripted.unary(answer, body["model"]))
            else:
                asked = bool(body.get("stream_options", {}).get("include_usage"))
                pieces = scripted.frames(answer, body["model"], usage=asked)
                before = host.first_chunk()
                if before is not None:
                    pieces = iter([scripted.frame(before), *pieces])
                self.stream(pieces, pause=answer.pause, cut_after=answer.cut_after)
        else:
            output, response = host.respond(body)
            if output.error is not None:
                self.whole(output.status, output.headers, output.error)
            elif not body.get("stream"):
                self.whole(200, {}, response)
            else:
                padded = (body.get("stream_options") or {}).get("include_obfuscation", True)
                pieces = (frame(event) for event in events(output, response, obfuscation=padded))
                self.stream(pieces, pause=output.pause, cut_after=output.cut_after)


@contextmanager
def hosting(host: Host) -> Iterator[Host]:
    """Run the server for the length of a `with` block; `host.url` is the base URL."""
    with scripted.listening(type("Handler", (_Handler,), {"host": host})) as url:
        host.url = url + host.base
        yield host


def serving(brain: Callable[[Json], Output], chat: Callable[[Json], Answer] | None = None, **more: Any) -> Any:
    """`hosting` of a new `Host`."""
    return hosting(Host(brain, chat, **more))
