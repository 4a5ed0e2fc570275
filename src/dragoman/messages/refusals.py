"""What upstreams say when they refuse, as ours: from HTTP statuses, and from error bodies under status 200.

There is no one form: OpenAI's object, the same as a string, FastAPI's `detail`, vLLM's `object: "error"`, Google's
status with its details, lists, HTML. Nothing in here raises, whatever the bytes are.
https://platform.openai.com/docs/guides/error-codes
"""

import re
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from dragoman.messages import google_errors
from dragoman.messages.errors import ApiError
from dragoman.messages.lenient import clean, parse
from dragoman.messages.overflow import Asked, overflow

BODY_LIMIT = 64 * 1024  # bytes of an error body that are read
TEXT_LIMIT = 1000  # characters of the upstream's text that are passed on
_DEPTH = 6  # levels of an error body in which a text is looked for

STATUS_KIND = {
    400: "invalid_request",
    401: "upstream_authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "invalid_request",
    422: "invalid_request",
    424: "upstream_failed",
    425: "conflict",
    429: "rate_limit",
    499: "upstream_failed",
    503: "overloaded",
    504: "timeout",
    522: "timeout",
    524: "timeout",
    529: "overloaded",
}

# Codes and types that say more than the status they come with.
CODE_KIND = {
    "billing_error": "billing",
    "insufficient_quota": "billing",
    "billing_hard_limit_reached": "billing",
    "insufficient_balance": "billing",
    "exceeded_current_quota_error": "billing",  # Moonshot, with 429
    "invalid_api_key": "upstream_authentication",
    "api_key_invalid": "upstream_authentication",  # Gemini, with 400
    "authentication_error": "upstream_authentication",
    "invalid_authentication_error": "upstream_authentication",
    "permission_denied": "permission",
    "permission_error": "permission",
    "unsupported_country_region_territory": "permission",
    "model_not_found": "not_found",
    "deploymentnotfound": "not_found",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "rate_limit_reached_error": "rate_limit",
    "resource_exhausted": "rate_limit",
    "engine_overloaded_error": "overloaded",  # Moonshot, with 429
    "server_is_overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "unavailable": "overloaded",
    "invalid_request_error": "invalid_request",
    "badrequesterror": "invalid_request",
    "invalid_argument": "invalid_request",
    "content_filter": "invalid_request",
    "invalid_prompt": "invalid_request",
    "invalid_encrypted_content": "invalid_request",
    "invalid_image": "invalid_request",
    "invalid_image_format": "invalid_request",
    "invalid_base64_image": "invalid_request",
    "invalid_image_url": "invalid_request",
    "invalid_image_mode": "invalid_request",
    "image_too_large": "invalid_request",
    "image_too_small": "invalid_request",
    "image_parse_error": "invalid_request",
    "image_content_policy_violation": "invalid_request",
    "image_file_too_large": "invalid_request",
    "unsupported_image_media_type": "invalid_request",
    "empty_image_file": "invalid_request",
    "failed_to_download_image": "invalid_request",
    "image_file_not_found": "invalid_request",
    "data_residency_mismatch": "permission",
    "vector_store_timeout": "timeout",
    "not_found_error": "not_found",
    "notfounderror": "not_found",
    "timeout_error": "timeout",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "deadline_exceeded": "timeout",  # Google, as the next ones
    "unauthenticated": "upstream_authentication",
    "internal": "upstream_failed",
}

# What only the text says, for servers whose codes are numbers of their own.
ACCOUNT_TEXT = (
    (
        re.compile(
            r"insufficient (?:account )?balance|credit balance is too low|exceeded your current quota", re.IGNORECASE
        ),
        "billing",
    ),
    (
        re.compile(r"api[ _]key not valid|invalid api[ _]key|incorrect api[ _]key", re.IGNORECASE),
        "upstream_authentication",
    ),
)
LOAD_TEXT = (
    (re.compile(r"\boverloaded\b|at capacity|service is too busy", re.IGNORECASE), "overloaded"),
    (re.compile(r"rate limit|too many requests", re.IGNORECASE), "rate_limit"),
)

# Kinds that a code or a text may replace; a 401 stays a 401 whatever it says.
_SPECIFIC = frozenset(
    {"upstream_authentication", "billing", "permission", "not_found", "timeout", "too_large", "conflict"}
)

# Repeating the call with the same key and account cannot help, and clients would do it for minutes.
_HOPELESS = frozenset({"upstream_authentication", "billing", "permission"})

_SECRETS = re.compile(
    r"(?i:bearer)\s+[^\s\"',]+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|nvapi|csk|fw|pplx|r8|tgp)[-_][A-Za-z0-9*_-]{8,}"
    r"|\bkey-[A-Za-z0-9]{16,}"
    r"|\bAIza[0-9A-Za-z_-]{10,}|\bAQ\.[0-9A-Za-z_-]{10,}|\bya29\.[0-9A-Za-z._-]{10,}|[?&]key=[^\s&\"'<>]+"
    r"|(?i:\bapi[-_ ]?key[\"']?\s*[:=]\s*[\"']?)[^\s\"',)}\]]{4,}"
    r"|\b(?=[A-Za-z]*\d)[A-Za-z0-9]{32,}\b"
)
_CODE = re.compile(r"[A-Za-z][\w.-]{0,79}", re.ASCII)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TRY_AGAIN = re.compile(r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)", re.IGNORECASE)
_TEXT_NAMES = ("message", "msg", "Message", "detail", "error", "errors", "error_description", "description", "title")


class Report(Struct, frozen=True):
    """What an error body says, in any of its forms."""

    text: str
    code: str = ""  # code and type, both lower-case, the first one that is no number
    type: str = ""
    status: int | None = None  # when the body itself names an HTTP status
    retry_after: float | None = None
    param: str = ""
    body: Any = None
    google: google_errors.Details | None = None


def refusal(status: int, headers: Mapping[str, str], body: bytes, asked: Asked) -> ApiError:
    """A response with an error status. `headers` are lower-case."""
    return _api_error(report(_unzipped(body[:BODY_LIMIT])), status, headers, asked)


def embedded(value: Any, asked: Asked) -> ApiError:
    """An error inside an answer with status 200; `value` is its JSON, decoded."""
    found = _report(value)
    return _api_error(found, found.status, {}, asked)


def is_error(value: Any) -> bool:
    """Whether JSON under status 200 is one of the error bodies. `value` is known to be no part of an answer."""
    if isinstance(value, list):
        return bool(value) and is_error(value[0])
    if not isinstance(value, dict):
        return False
    if value.get("error") or value.get("errors") or value.get("object") == "error" or value.get("type") == "error":
        return True
    return bool(value.get("detail") or (isinstance(value.get("message"), str) and "id" not in value))


def report(body: bytes) -> Report:
    """What any bytes say as an error."""
    try:
        return _report(parse(body))
    except ValueError:
        text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        return Report(f"a web page ({_short(title[1], 200)})" if title else "a web page instead of JSON")
    return Report(text)


def said(value: Any) -> str:
    """The human text in an error that is JSON: one line without secrets, "" when there is none."""
    return _presentable(_report(value).text)


def _report(value: Any) -> Report:
    value = clean(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):  # Gemini: the object in a list of one
        value = value[0]
    inner = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(inner, dict):
        inner = value if isinstance(value, dict) else {}
    outer = value if isinstance(value, dict) else {}
    codes = [each for each in (inner.get("code"), inner.get("status"), inner.get("type"), outer.get("code")) if each]
    numbers = [each for each in (_status(each) for each in codes) if each]
    words = [each.lower() for each in codes if isinstance(each, str) and _CODE.fullmatch(each) and each != "None"]
    kind = inner.get("type")
    google = google_errors.details(inner)
    text = _text(value)
    for violation in google.violations if google else ():
        text += "" if violation in text else f" ({violation})"
    return Report(
        text=text + _more(inner),
        code=next(iter(words), ""),
        type=kind.lower() if isinstance(kind, str) else "",
        status=next(iter(numbers), None),
        retry_after=_retry_delay(inner),
        param=inner["param"] if isinstance(inner.get("param"), str) else "",
        body=inner,
        google=google,
    )


def _text(value: Any, depth: int = 0) -> str:
    """The human text in any error body; "" when there is none."""
    if isinstance(value, str):
        return value.strip()
    if depth > _DEPTH:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(each, depth + 1) for each in value[:5])))
    if isinstance(value, dict):
        for name in _TEXT_NAMES:
            text = _text(value.get(name), depth + 1)
            if text:
                return _place(value.get("loc")) + text
        for name in ("reason", "code", "type", "status"):
            if isinstance(value.get(name), str | int):
                return str(value[name])
    return ""


def _place(loc: Any) -> str:
    """FastAPI's path to the field, without the "body" that it begins with: "messages.0.role: "."""
    if not isinstance(loc, list):
        return ""
    path = ".".join(str(each) for each in loc[:20] if each != "body" and isinstance(each, str | int))
    return f"{path}: " if path else ""


def _more(inner: dict[str, Any]) -> str:
    """What stands beside the message: the original error behind an aggregator, the categories of a content filter."""
    more = ""
    metadata = inner.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):  # OpenRouter
        try:
            raw = _text(parse(metadata["raw"].encode()))
        except ValueError:
            raw = metadata["raw"]
        more += f" ({_short(raw, TEXT_LIMIT)})"
    details = inner.get("innererror")
    results = details.get("content_filter_result") if isinstance(details, dict) else None  # Azure
    names = filtered(results)
    return f"{more} (filtered: {', '.join(names)})" if names else more


def filtered(results: Any) -> list[str]:
    """The categories in Azure's content filter results that were filtered.

    https://learn.microsoft.com/en-us/azure/ai-services/openai/concepts/content-filter-annotations
    """
    if not isinstance(results, dict):
        return []
    return [name for name, result in results.items() if isinstance(result, dict) and result.get("filtered")]


def _api_error(found: Report, status: int | None, headers: Mapping[str, str], asked: Asked) -> ApiError:
    said = _presentable(found.text)
    should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower())
    code = found.code or None
    if status is None or status in (400, 404, 413, 422, 429) or status >= 500:
        message = overflow(found.text, found.body, asked)
        if message is not None:
            return ApiError("context_overflow", message, upstream_status=status, code=code)
    kind = _kind(found, status)
    if found.param and found.param not in said:
        said = f"{said} ({_short(found.param, 100)})"
    answered = f"answered {status}" if status is not None else "answered with an error"
    hint = _hint(kind, asked, found)
    said = (said.rstrip(".") if hint else said) or "no explanation"
    message = f"{asked.provider}/{asked.model} {answered}: {said}{hint}"
    spent = found.google is not None and kind == "rate_limit" and google_errors.is_hopeless(found.google, found.text)
    if should_retry is None and (spent or kind in _HOPELESS):
        should_retry = False
    return ApiError(
        kind,
        clean(message),
        retry_after=None if spent else _retry_after(headers, found, kind),  # seconds that are said do not help then
        should_retry=should_retry,
        upstream_status=status,
        code=code,
    )


def _kind(found: Report, status: int | None) -> str:
    exact = google_errors.kind(found.google, found.text) if found.google else None
    if exact is not None:
        return exact
    kind = _status_kind(status)
    if kind in _SPECIFIC:
        return kind
    for code in (found.code, found.type):
        named = CODE_KIND.get(code)
        if named is not None and (named != "invalid_request" or status is None):
            return named
    # The text of a 400 may quote the caller, so it is not asked about load.
    for pattern, named in ACCOUNT_TEXT if kind == "invalid_request" else ACCOUNT_TEXT + LOAD_TEXT:
        if pattern.search(found.text):
            return named
    return kind


def _status_kind(status: int | None) -> str:
    if status is None:
        return "upstream_failed"
    known = STATUS_KIND.get(status)
    if known is not None:
        return known
    if 300 <= status < 400:
        return "bad_answer"
    return "invalid_request" if 400 <= status < 500 else "upstream_failed"


def _hint(kind: str, asked: Asked, found: Report) -> str:
    """What the reader can do about it."""
    told = google_errors.hint(found.google, found.text, asked.key) if found.google else None
    if told is not None:
        return _SECRETS.sub("[redacted]", told)
    if kind == "upstream_authentication" and asked.google:
        return (
            ". Google's credentials were refused: log in again with `gcloud auth application-default login`, "
            "or check GOOGLE_APPLICATION_CREDENTIALS."
        )
    if kind == "upstream_authentication":
        if asked.key is None:
            return f". No key is configured for provider {asked.provider!r}."
        return f". Check the key {asked.key}: it was refused."
    if found.code == "deploymentnotfound":  # Azure: the model's name says nothing there
        return f". The deployment that was asked for is {asked.model!r}: create it, or configure another one."
    if kind == "not_found":
        return f". Check that {asked.provider} offers the model {asked.model!r} and that base_url is right."
    if kind == "billing":
        return f". The account at {asked.provider} has no credit left; top it up or route the model elsewhere."
    if kind == "permission":
        if found.body is None:
            return ". A firewall may have blocked the request."
        return f". The key {asked.key} may not use this model or region." if asked.key else ""
    if kind == "bad_answer":
        return f". Check base_url of provider {asked.provider!r}."
    return ""


def _retry_after(headers: Mapping[str, str], found: Report, kind: str) -> float | None:
    """Seconds to wait, from what the headers say, else from the body."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    if said is not None:
        seconds = _number(said)
        return seconds if seconds is not None else _seconds_between(headers.get("date"), said)
    if found.retry_after is not None:
        return found.retry_after
    if kind != "rate_limit":
        return None
    waits = {name: duration(headers.get(f"x-ratelimit-reset-{name}", "")) for name in ("requests", "tokens")}
    known = {name: wait for name, wait in waits.items() if wait is not None}
    spent = [wait for name, wait in known.items() if _number(headers.get(f"x-ratelimit-remaining-{name}")) == 0]
    again = _TRY_AGAIN.search(found.text)
    if spent:
        return max(spent)
    if again:
        return duration(again[1])
    return min(known.values(), default=None)


def duration(text: str) -> float | None:
    """Seconds in "1m2s", "6ms", "34s", "1.5"; None when it is something else."""
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number[:12]) * _SECONDS[unit] for number, unit in parts)
    return _number(text)


def _number(text: str | None) -> float | None:
    """A plain number of at most nine digits, not negative."""
    if text is None or not re.fullmatch(r"\s*[0-9]{1,9}(?:\.[0-9]{1,9})?\s*", text):
        return None
    return float(text)


def _seconds_between(now: str | None, then: str) -> float | None:
    """From the response's own `date` to the date in `retry-after`: a dialect has no clock."""
    if now is None:
        return None
    try:
        seconds = (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(seconds, 0.0)


def _retry_delay(inner: dict[str, Any]) -> float | None:
    """`retryDelay` of Google's RetryInfo."""
    details = inner.get("details")
    for each in details if isinstance(details, list) else []:
        if isinstance(each, dict) and isinstance(each.get("retryDelay"), str):
            return duration(each["retryDelay"])
    return None


def _status(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _unzipped(body: bytes) -> bytes:
    """A gzip body that reached us packed, as text."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return zlib.decompressobj(31).decompress(body, BODY_LIMIT)
    except zlib.error:
        return b"compressed bytes that cannot be read"


def _presentable(text: str) -> str:
    return _short(_SECRETS.sub("[redacted]", text), TEXT_LIMIT)


def _short(text: str, limit: int) -> str:
    """One line of printable text, cut at `limit` characters."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: limit * 2]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
