"""A scripted Gemini API (AI Studio): strict like the original, and it records what it was asked.

It keeps nothing of a conversation: a thought signature must come back on the very part that it was issued for.
https://ai.google.dev/api/generate-content
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from clients import scripted
from clients.gemini_rules import STATUS, GoogleRefused, check, decoded, version
from clients.responses_rules import Json, Refused

PIECE = re.compile(r"\S+\s*|\s+")
SENTINELS = (b"skip_thought_signature_validator", b"context_engineering_is_the_way_to_go")


class Output(Struct, kw_only=True):
    """What to send back: `parts` are drafts, made by the functions below; the server gives them ids and signatures."""

    parts: list[Json] = []
    finish: str | None = "STOP"  # None: the bytes end without a finishReason
    message: str | None = None  # finishMessage
    blocked: str | None = None  # blockReason of the prompt: no candidates at all
    grounding: Json | None = None  # groundingMetadata
    continuation: str | None = None  # the answer goes on for who comes back with this token
    late: Json | None = None  # an error object as the last chunk of the stream
    cached: int = 0  # tokens of the prompt that were cached
    status: int = 200
    error: Json | None = None
    pause: float = 0.0  # seconds between chunks
    cut_after: int | None = None  # chunks, after which the connection is dropped


def thought(text: str, *, signed: bool = False) -> Json:
    """A summary of thoughts, shown only to those who ask for it."""
    return {"text": text, "thought": True, "signed": signed}


def said(text: str, *, signed: bool = False) -> Json:
    return {"text": text, "signed": signed}


def called(name: str, arguments: Json) -> Json:
    return {"functionCall": {"name": name, "args": arguments}}


def words(text: str) -> Output:
    return Output(parts=[said(text)])


def failure(status: int, message: str, *, name: str | None = None, details: list[Json] | None = None) -> Output:
    error: Json = {"code": status, "message": message, "status": name or STATUS[status]}
    return Output(status=status, error={"error": {**error, **({"details": details} if details else {})}})


def retry_after(seconds: int) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}


def counted(body: Json) -> int:
    """Tokens of a request, as this server counts them: in the usage, and at `:countTokens`."""
    body = body.get("generateContentRequest", body)
    seen = {name: body[name] for name in ("contents", "systemInstruction", "tools") if body.get(name)}
    return len(json.dumps(seen, ensure_ascii=False, sort_keys=True)) // 4


def results(body: Json) -> list[Json]:
    """The function responses in a request."""
    return [part["functionResponse"] for part in _parts(body["contents"]) if "functionResponse" in part]


def signatures(body: Json) -> list[str]:
    """The thought signatures in a request that are no sentinels."""
    found = [part["thoughtSignature"] for part in _parts(body["contents"]) if "thoughtSignature" in part]
    return [each for each in found if not sentinel(each)]


def sentinel(signature: str) -> bool:
    """Whether it stands for a lost one; both the words themselves and their base64 are taken."""
    return signature.encode() in SENTINELS or decoded(signature, "") in SENTINELS


def _parts(contents: list[Json]) -> list[Json]:
    return [part for content in contents for part in content["parts"]]


class Signatures:
    """Issues thought signatures and verifies what comes back.

    `demand`: "all" misses each signature that was issued here for a call; "turn" those of the current turn only, and
    takes a sentinel for any, as Google does.
    """

    def __init__(self, maker: str, *, demand: Literal["all", "turn"] = "all") -> None:
        self.maker = maker
        self.demand = demand
        self._serial = count(1)
        self._signed: set[str] = set()  # ids of calls that got one

    def number(self) -> int:
        return next(self._serial)

    def identity(self) -> str:
        """An id for a call, of the kind that Google makes; no other host makes the same one."""
        return hmac.digest(self.maker.encode(), str(self.number()).encode(), "sha256").hex()[:8]

    def sign(self, part: Json) -> Json:
        """The part with a signature of its own."""
        raw = json.dumps({"number": self.number(), "part": part}).encode()
        if identity := part.get("functionCall", {}).get("id"):
            self._signed.add(identity)
        return {**part, "thoughtSignature": base64.b64encode(b"\x12" + self._mac(raw) + raw).decode()}

    def check(self, contents: list[Json], model: str) -> None:
        """Raises Refused for a signature that is missing, foreign, or not on its part."""
        begins = max((at for at, content in enumerate(contents) if _asks(content)), default=0)
        last = 0
        for at, content in enumerate(contents):
            calls = 0
            for number, part in enumerate(content["parts"]):
                given = part.get("thoughtSignature")
                stands = given is not None and sentinel(given)
                if given is not None and not stands:
                    last = self._verify(part, f"contents[{at}].parts[{number}]", last)
                if "functionCall" not in part:
                    continue
                calls += 1
                needed = version(model) >= (3, 0) and calls == 1 and at > begins
                if self.demand == "all" and part["functionCall"].get("id") in self._signed:
                    needed, stands = True, False
                if needed and not stands and (given is None or sentinel(given)):
                    raise _missing(part, at)

    def _verify(self, part: Json, place: str, last: int) -> int:
        raw = decoded(part["thoughtSignature"], f"{place}.thought_signature")
        if raw[:1] != b"\x12" or not hmac.compare_digest(raw[1:17], self._mac(raw[17:])):
            raise GoogleRefused("Thought signature is not valid.")
        found = json.loads(raw[17:])
        if not _same(part, found["part"]):
            raise GoogleRefused(f"Corrupted thought signature. It was not issued for {place}.")
        if found["number"] <= last:
            raise GoogleRefused(f"Corrupted thought signature. {place} is not where it was.")
        return int(found["number"])

    def _mac(self, raw: bytes) -> bytes:
        return hmac.digest(self.maker.encode(), raw, "sha256")[:16]


def _missing(part: Json, at: int) -> GoogleRefused:
    return GoogleRefused(
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
        "correctly, and missing thought_signature may lead to degraded model performance. Additional data, function "
        f"call `default_api:{part['functionCall']['name']}` , position {at + 1}. Please refer to "
        "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
    )


def _asks(content: Json) -> bool:
    """Whether the user speaks here, and not a function alone: the current turn begins at the last such content."""
    parts = content["parts"]
    return content["role"] == "user" and not any("functionResponse" in part for part in parts)


def _same(part: Json, issued: Json) -> bool:
    """Whether a part is the one that was issued. Thoughts never come back: their signature may come on an empty part.

    Claude Code adds arguments that a tool has defaults for, such as `replace_all`.
    """
    if "functionCall" in issued:
        known, call = issued["functionCall"], part.get("functionCall", {})
        same = (call.get("name"), call.get("id")) == (known["name"], known.get("id"))
        return same and {**call.get("args", {}), **known["args"]} == call.get("args", {})
    return part.get("text") == ("" if issued.get("thought") else issued["text"])


class Host:
    """One scripted host: what it was asked, and what it refused."""

    base = "/v1beta"
    shape = "Studio"  # of its requests, in the rules
    urls = False  # whether it fetches files from anywhere

    def __init__(
        self, brain: Callable[[Json], Output], *, key: str | None = None, demand: Literal["all", "turn"] = "all"
    ) -> None:
        self.brain = brain
        self.key = key
        self.seals = Signatures(f"{self.shape} {key}", demand=demand)
        self.requests: list[Json] = []  # bodies, with the model of their path
        self.counts: list[Json] = []
        self.asked: list[str] = []  # paths, with their queries
        self.headers: list[dict[str, str]] = []
        self.complaints: list[str] = []  # messages of the requests that were refused for their form
        self.cut_short = 0
        self.continuations: set[str] = set()  # tokens that were handed out
        self.url = ""

    def endpoint(self, path: str, headers: dict[str, str]) -> tuple[str, str]:
        """The model and the verb of a path. Raises Refused."""
        self.door(headers)
        found = re.fullmatch(re.escape(self.base) + r"/models/([^:/]+):(\w+)", path)
        if found is None:
            raise GoogleRefused(f"Path not found: {path}", status=404)
        return unquote(found[1]), found[2]

    def door(self, headers: dict[str, str]) -> None:
        """Raises Refused for who may not come in."""
        given = headers.get("x-goog-api-key")
        if self.key is None:
            return
        if "authorization" in headers:
            raise GoogleRefused("API keys are not supported in the header authorization.", status=401)
        if given is None:
            message = "Method doesn't allow unregistered callers (callers without established identity)."
            raise GoogleRefused(message, status=403)
        if given != self.key:
            raise GoogleRefused("API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")

    def take(self, target: str, headers: dict[str, str], body: Json) -> tuple[str, Json]:
        """The verb and the body of a request, with the model that is meant. Raises Refused."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        if "key" in query or "access_token" in query:
            raise GoogleRefused("A secret in a URL ends up in logs.")
        model, verb = self.endpoint(parts.path, headers)
        if not version(model) > (0, 0):
            raise GoogleRefused(
                f"models/{model} is not found for API version v1beta, or is not supported for {verb}. Call ListModels "
                "to see the list of available models and their supported methods.",
                status=404,
            )
        if verb == "countTokens":
            self.counts.append(body)
            check(body, model, shape=f"{self.shape}Count", urls=self.urls)
            inner = body.get("generateContentRequest", {"model": f"models/{model}"})
            if (
                inner.get("model") != f"models/{model}"
                or len(body.keys() & {"contents", "generateContentRequest"}) != 1
            ):
                raise GoogleRefused(
                    "* CountTokensRequest.generate_content_request.model: unexpected model name format\n"
                )
        elif verb in ("generateContent", "streamGenerateContent"):
            self.requests.append({"model": model, **body})
            if verb == "streamGenerateContent" and query.get("alt") != ["sse"]:
                raise GoogleRefused("Without alt=sse the answer is one JSON array.")
            check(body, model, shape=self.shape, urls=self.urls)
            self.seals.check(body["contents"], model)
            token = body.get("continuationToken")
            if token is not None and token not in self.continuations:
                raise GoogleRefused("Invalid continuation token.")
        else:
            raise GoogleRefused(f"Unknown verb {verb}", status=404)
        return verb, {"model": model, **body}

    def chunks(self, output: Output, body: Json, *, streamed: bool) -> Iterator[Json]:
        """The answer in Google's form: chunks of a stream, or the one response."""
        identity = f"resp{self.seals.number():08x}"
        config = body.get("generationConfig", {})
        shown = config.get("thinkingConfig", {}).get("includeThoughts") is True
        drafts = [draft for draft in output.parts if shown or not draft.get("thought")]
        groups = self._issued(drafts, body["model"], streamed=streamed)
        usage = _usage(output, body)
        head: Json = {"modelVersion": body["model"], "responseId": identity}
        if output.blocked:
            yield {"promptFeedback": {"blockReason": output.blocked}, "usageMetadata": usage, **head}
            return
        if output.continuation:
            self.continuations.add(output.continuation)
        for number, parts in enumerate(groups):
            candidate: Json = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}, "index": 0}
            if number == len(groups) - 1:
                ending = {
                    "finishReason": output.finish, "finishMessage": output.message,
                    "groundingMetadata": output.grounding, "continuationToken": output.continuation,
                }  # fmt: skip
                candidate |= {name: value for name, value in ending.items() if value is not None}
            yield {"candidates": [candidate], "usageMetadata": usage, **head}
        if output.late:
            yield {"error": output.late}

    def _issued(self, drafts: list[Json], model: str, *, streamed: bool) -> list[list[Json]]:
        """Parts by chunk, with ids and signatures; the last group carries the end of the answer.

        The first call of an answer is signed; without calls the end of the answer: in a stream on an empty part.
        """
        three = version(model) >= (3, 0)
        first = next((at for at, draft in enumerate(drafts) if "functionCall" in draft), None)
        made: list[Json] = []
        for at, draft in enumerate(drafts):
            signed = draft.get("signed") or (three and at == first)
            if "functionCall" in draft:
                named = {"id": self.seals.identity(), **draft["functionCall"]} if three else draft["functionCall"]
                pieces: list[Json] = [{"functionCall": named}]
            else:
                plain = {"thought": True} if draft.get("thought") else {}
                texts = PIECE.findall(draft["text"]) if streamed else [draft["text"]]
                pieces = [{"text": text, **plain} for text in texts]
            made += [*pieces[:-1], self.seals.sign(pieces[-1]) if signed else pieces[-1]]
        ends = three and first is None and made and "thoughtSignature" not in made[-1]
        if not streamed:
            return [[*made[:-1], self.seals.sign(made[-1])] if ends else made]
        return [*([part] for part in made), [self.seals.sign({"text": ""}) if ends else {"text": ""}] if made else []]


def _usage(output: Output, body: Json) -> Json:
    thoughts = sum(32 for draft in output.parts if draft.get("thought"))
    produced = sum(len(json.dumps(draft)) // 4 for draft in output.parts if not draft.get("thought"))
    prompt = counted(body)
    usage = {
        "promptTokenCount": prompt, "candidatesTokenCount": produced, "totalTokenCount": prompt + produced + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }  # fmt: skip
    more = {"thoughtsTokenCount": thoughts, "cachedContentTokenCount": output.cached}
    return {**usage, **{name: value for name, value in more.items() if value}}


def frame(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"


class _Handler(scripted.Handler):
    host: Host

    def post(self) -> None:
        host = self.host
        headers = self.lower_headers()
        host.asked.append(self.path)
        host.headers.append(headers)
        try:
            self.answer(host, json.loads(self.body()), headers)
        except Refused as refused:
            if refused.status in (400, 404):
                host.complaints.append(refused.message)
            self.whole(refused.status, {}, refused.body)
        except (BrokenPipeError, ConnectionResetError):
            host.cut_short += 1
            self.close_connection = True

    def answer(self, host: Host, body: Json, headers: dict[str, str]) -> None:
        verb, body = host.take(self.path, headers, body)
        if verb == "countTokens":
            self.whole(200, {}, {"totalTokens": counted(body)})
            return
        output = host.brain(body)
        if output.error is not None:
            self.whole(output.status, {}, output.error)
        elif verb == "generateContent":
            self.whole(200, {}, next(host.chunks(output, body, streamed=False)))
        else:
            pieces = (frame(chunk) for chunk in host.chunks(output, body, streamed=True))
            self.stream(pieces, pause=output.pause, cut_after=output.cut_after)


@contextmanager
def hosting(host: Host) -> Iterator[Host]:
    """Run the server for the length of a `with` block; `host.url` is the base URL."""
    with scripted.listening(type("Handler", (_Handler,), {"host": host})) as url:
        host.url = url + host.base
        yield host
