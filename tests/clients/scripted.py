"""A scripted Chat Completions server for tests: strict like the original, and it records what it was asked.

https://platform.openai.com/docs/api-reference/chat/create
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

Json = dict[str, Any]

FIELDS = {
    "messages", "model", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "metadata", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier",
    "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p",
    "user", "verbosity", "web_search_options",
}  # fmt: skip
MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}
PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "file", "input_audio"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
}
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}


class Answer(Struct, kw_only=True):
    """What to send back. `deltas` are the `delta` objects of a stream, `finish` its last word."""

    deltas: list[Json] = []
    finish: str = "stop"
    usage: Json = field(default_factory=lambda: dict(USAGE))
    status: int = 200
    headers: dict[str, str] = {}
    error: Json | None = None
    pause: float = 0.0  # seconds between chunks
    cut_after: int | None = None  # chunks, after which the connection is dropped


def words(text: str) -> Answer:
    return Answer(deltas=[{"content": piece} for piece in re.findall(r"\S+\s*", text)])


def call(index: int, identity: str, name: str, arguments: Json, pieces: int = 3) -> list[Json]:
    """The deltas of one tool call, its arguments in several pieces."""
    raw = json.dumps(arguments)
    step = max(1, -(-len(raw) // pieces))
    head = {"index": index, "id": identity, "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": raw[at : at + step]}} for at in range(0, len(raw), step)]
    return [{"tool_calls": [part]} for part in [head, *rest]]


def interleave(*lists: list[Json]) -> list[Json]:
    """One from each in turn, as servers stream parallel calls."""
    longest = max(len(each) for each in lists)
    return [each[at] for at in range(longest) for each in lists if at < len(each)]


def calls(*deltas: list[Json], before: list[Json] | None = None) -> Answer:
    return Answer(deltas=[*(before or []), *interleave(*deltas)], finish="tool_calls")


def failure(status: int, message: str, *, code: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Answer(status=status, error=body, headers=named)


def complaint(body: Json) -> str | None:
    """What a strict server says against a request; None when it is well-formed."""
    unknown = body.keys() - FIELDS
    if unknown:
        return f"Unrecognized request argument supplied: {', '.join(sorted(unknown))}"
    empty = [name for name, value in body.items() if value is None]
    if empty:
        return f"Invalid type for '{empty[0]}': got null"
    if not body.get("model") or not body.get("messages"):
        return "you must provide a model and messages"
    if not body.get("tools"):
        for name in ("tool_choice", "parallel_tool_calls", "tools"):
            if name in body:
                return f"'{name}' is only allowed when 'tools' are specified."
    if "max_tokens" in body and "max_completion_tokens" in body:
        return "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    if "stream_options" in body and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if len(body.get("user", "")) > 64 or len(body.get("prompt_cache_key", "")) > 64:
        return "Invalid 'user': string too long. Expected a string with maximum length 64."
    if len(body.get("stop", [])) > 4:
        return "Invalid 'stop': array too long. Expected an array with maximum length 4."
    for number, tool in enumerate(body.get("tools", [])):
        if problem := tool_complaint(tool):
            return f"Invalid 'tools[{number}]': {problem}"
    return history_complaint(body["messages"])


def tool_complaint(tool: Json) -> str | None:
    function = tool.get("function", {})
    if tool.get("type") != "function" or tool.keys() - {"type", "function"}:
        return "expected a function"
    if function.keys() - {"name", "description", "parameters", "strict"}:
        return f"unknown parameter {sorted(function)}"
    if not NAME.match(function.get("name", "")):
        return f"'function.name' {function.get('name')!r} does not match {NAME.pattern}"
    if "description" in function and not isinstance(function["description"], str):
        return "'function.description': expected a string"
    schema = function.get("parameters")
    if schema is not None:
        if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
            return "object schema missing properties"
        if schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "not"}:
            return "schema must not have oneOf, anyOf, allOf, enum or not at the top level"
    return None


def history_complaint(turns: list[Json]) -> str | None:
    waiting: list[str] = []
    for number, turn in enumerate(turns):
        place, role = f"messages[{number}]", turn.get("role")
        if role not in MESSAGE_FIELDS:
            return f"Invalid value for '{place}.role': {role!r}"
        if turn.keys() - MESSAGE_FIELDS[role]:
            return f"Unknown parameter in '{place}': {sorted(turn.keys() - MESSAGE_FIELDS[role])}"
        if problem := content_complaint(turn, role):
            return f"Invalid '{place}.content': {problem}"
        if role == "tool":
            if turn.get("tool_call_id") not in waiting:
                return f"'{place}': a tool message must answer a preceding call: {turn.get('tool_call_id')!r}"
            waiting.remove(turn["tool_call_id"])
            continue
        if waiting:
            return (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following did not have response messages: {waiting}"
            )
        for made in turn.get("tool_calls", []):
            function = made.get("function", {})
            if not 0 < len(made.get("id", "")) <= 40 or made.get("type") != "function":
                return f"Invalid '{place}.tool_calls': id {made.get('id')!r}"
            if not NAME.match(function.get("name", "")) or not isinstance(function.get("arguments"), str):
                return f"Invalid '{place}.tool_calls': function {function.get('name')!r}"
            waiting.append(made["id"])
    return f"the history ends with unanswered calls {waiting}" if waiting else None


def content_complaint(turn: Json, role: str) -> str | None:
    content = turn.get("content")
    if content is None:
        return None if role == "assistant" and turn.get("tool_calls") else "got null"
    if isinstance(content, str):
        return None
    if not isinstance(content, list) or not content:
        return "expected a string or a non-empty array"
    for part in content:
        kind = part.get("type")
        if kind not in PARTS[role]:
            return f"parts of type {kind!r} are not allowed for role {role!r}"
        if part.keys() - {"type", kind}:
            return f"unknown parameter in a part: {sorted(part)}"
        if not part.get(kind):
            return f"empty {kind}"
    return None


class Upstream:
    """What the server was asked, and what it found wrong."""

    def __init__(self, brain: Callable[[Json], Answer]) -> None:
        self.brain = brain
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.complaints: list[str] = []
        self.cut_short = 0  # answers that the other side did not want to the end
        self.url = ""

    def answer(self, body: Json) -> Answer:
        problem = complaint(body)
        if problem:
            self.complaints.append(problem)
            return failure(400, problem)
        return self.brain(body)


def unary(answer: Answer, model: str) -> Json:
    """The answer as one JSON object."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    made: dict[int, Json] = {}
    for delta in answer.deltas:
        for name in ("content", "reasoning_content", "refusal"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        for part in delta.get("tool_calls", []):
            known = made.setdefault(
                part["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            known["id"] = part.get("id", known["id"])
            function = part.get("function", {})
            known["function"]["name"] += function.get("name", "")
            known["function"]["arguments"] += function.get("arguments", "")
    if made:
        message["tool_calls"] = list(made.values())
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
        "usage": answer.usage,
    }  # fmt: skip


def frames(answer: Answer, model: str, *, usage: bool) -> Iterator[bytes]:
    """The answer as the frames of a stream."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    deltas = [{"role": "assistant", "content": ""}, *answer.deltas]
    for delta in deltas:
        yield frame({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None})
    yield frame({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish}], "usage": None})
    if usage:
        yield frame({**head, "choices": [], "usage": answer.usage})
    yield b"data: [DONE]\n\n"


def frame(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


class Handler(BaseHTTPRequestHandler):
    """What every scripted server does on its socket. A subclass says what it answers."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.post()

    def post(self) -> None:
        raise NotImplementedError

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def whole(self, status: int, headers: dict[str, str], value: Any) -> None:
        """One JSON value as the body."""
        raw = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "content-type": "application/json"}.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def stream(
        self,
        pieces: Iterable[bytes],
        *,
        pause: float,
        cut_after: int | None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """A stream of frames, `pause` seconds apart; the connection is dropped after `cut_after` of them."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        for number, piece in enumerate(pieces):
            if number == cut_after:
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
            if pause:
                time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Quiet."""


class _Chat(Handler):
    upstream: Upstream

    def post(self) -> None:
        body = json.loads(self.body())
        self.upstream.requests.append(body)
        self.upstream.headers.append(self.lower_headers())
        answer = self.upstream.answer(body)
        try:
            if answer.error is not None:
                self.whole(answer.status, answer.headers, answer.error)
            elif not body.get("stream"):
                self.whole(answer.status, answer.headers, unary(answer, body["model"]))
            else:
                asked = bool(body.get("stream_options", {}).get("include_usage"))
                pieces = frames(answer, body["model"], usage=asked)
                self.stream(pieces, pause=answer.pause, cut_after=answer.cut_after)
        except (BrokenPipeError, ConnectionResetError):
            self.upstream.cut_short += 1
            self.close_connection = True


@contextmanager
def listening(handler: type[Handler]) -> Iterator[str]:
    """Serve on a free port of this machine for the length of a `with` block; yields the URL of the host."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


@contextmanager
def serving(brain: Callable[[Json], Answer]) -> Iterator[Upstream]:
    """Run the Chat Completions server for the length of a `with` block."""
    upstream = Upstream(brain)
    with listening(type("Handler", (_Chat,), {"upstream": upstream})) as url:
        upstream.url = f"{url}/v1"
        yield upstream
