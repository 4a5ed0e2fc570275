"""What Google's error bodies say beside their text: reasons, links, quotas, and what the reader can do about them.

Google's APIs share one form of error, so whoever speaks to them meets it: Gemini in its own language, and behind the
endpoints that are compatible with OpenAI's.
https://google.aip.dev/193 and https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
"""

import re
from typing import Any

from msgspec import Struct

_LIST_LIMIT = 20  # entries of a list in an error body that are read

# Reasons of ErrorInfo that say more than the status they come with.
# https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
_REASON_KIND = {
    "API_KEY_INVALID": "upstream_authentication",  # with 400
    "BILLING_DISABLED": "billing",  # with 403
    "RATE_LIMIT_EXCEEDED": "rate_limit",
    "RESOURCE_QUOTA_EXCEEDED": "rate_limit",
}

# How the text begins, where there is no reason. A text may quote the caller further on, so nothing else is looked at.
_TEXT_KIND = (
    (re.compile(r"your prepayment credits|your project has exceeded its (?:monthly )?spend", re.IGNORECASE), "billing"),
    (re.compile(r"your api key was reported as leaked|api key expired", re.IGNORECASE), "upstream_authentication"),
    (re.compile(r"method doesn't allow unregistered callers", re.IGNORECASE), "upstream_authentication"),
    (re.compile(r"user location is not supported", re.IGNORECASE), "permission"),
    (re.compile(r"gemini api free tier is not available in your country", re.IGNORECASE), "permission"),
    (re.compile(r"(?:request )?payload size exceeds the limit", re.IGNORECASE), "too_large"),
)
_ELSEWHERE = re.compile(r"user location is not supported", re.IGNORECASE)
_NOT_INCLUDED = re.compile(r"quota exceeded for metric: \S+, limit: 0\b", re.IGNORECASE)
_PUBLISHER = re.compile(r"publisher model\b.{0,200}?/locations/([\w-]+)/", re.IGNORECASE | re.DOTALL)

_BLOCKED = (
    "API_KEY_HTTP_REFERRER_BLOCKED",
    "API_KEY_IP_ADDRESS_BLOCKED",
    "API_KEY_ANDROID_APP_BLOCKED",
    "API_KEY_IOS_APP_BLOCKED",
)


class Details(Struct, frozen=True):
    """`details` of a google.rpc.Status, as far as they help."""

    reason: str = ""  # of ErrorInfo, as in "API_KEY_INVALID"
    service: str = ""  # that was asked, as in "generativelanguage.googleapis.com"
    link: str = ""  # to the page where it is mended
    quotas: tuple[str, ...] = ()  # ids of those that are used up
    violations: tuple[str, ...] = ()  # what is wrong with fields of the request

    @property
    def of_a_day(self) -> bool:
        """Whether a quota is used up that is filled again only on the next day."""
        return any("PerDay" in quota for quota in self.quotas)


def details(inner: dict[str, Any]) -> Details | None:
    """What the object under `error` holds; None when it has not Google's form."""
    status = inner.get("status")
    if not isinstance(status, str) or not status.isupper():
        return None
    reason = service = link = ""
    quotas: list[str] = []
    violations: list[str] = []
    for each in _objects(inner.get("details")):
        metadata = each["metadata"] if isinstance(each.get("metadata"), dict) else {}
        reason = reason or _text(each.get("reason"))
        service = service or _text(metadata.get("service"))
        link = _text(metadata.get("activationUrl")) or link
        for linked in _objects(each.get("links")):
            # The documentation of quotas mends nothing.
            link = link or (_text(linked.get("url")) if "console" in _text(linked.get("url")) else "")
        quotas += filter(None, (_text(violation.get("quotaId")) for violation in _objects(each.get("violations"))))
        violations += filter(None, (_text(one.get("description")) for one in _objects(each.get("fieldViolations"))))
    return Details(reason, service, link, tuple(dict.fromkeys(quotas)), tuple(dict.fromkeys(violations)))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value[:_LIST_LIMIT] if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def kind(found: Details, text: str) -> str | None:
    """A kind of `errors.KINDS` that is more exact than what status and code say; None leaves it to them."""
    named = _REASON_KIND.get(found.reason)
    if named is not None:
        return named
    return next((named for pattern, named in _TEXT_KIND if pattern.match(text)), None)


def is_hopeless(found: Details, text: str) -> bool:
    """Whether a rate limit does not end within minutes: a day's quota, or one that is zero."""
    return found.of_a_day or bool(_NOT_INCLUDED.search(text))


def hint(found: Details, text: str, key: str | None) -> str | None:
    """What the reader can do, as sentences behind the text; None when only the kind of the error tells."""
    its_key = f"key {key}" if key else "key"
    at = f" at {found.link}" if found.link and found.link not in text else ""
    match found.reason:
        case "SERVICE_DISABLED":
            return f". Enable the API{at}, then wait some minutes."
        case "BILLING_DISABLED":
            return f". Enable billing for the project{at}."
        case "API_KEY_SERVICE_BLOCKED":
            service = found.service or "this API"
            return f". The {its_key} is for other APIs only: allow {service} for it in the Google Cloud console."
        case "CONSUMER_INVALID":
            return ". Check the project: it does not exist, or may not be used."
        case "CONSUMER_SUSPENDED":
            return ". Google suspended the project: use a key of another one."
        case "IAM_PERMISSION_DENIED":
            return ". Give the account the role Vertex AI User (roles/aiplatform.user) in the project."
        case "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
            return ". Log in again with `gcloud auth application-default login`."
        case reason if reason in _BLOCKED:
            return (
                f". The {its_key} is for certain websites, addresses or apps only: "
                "lift that limit in the Google Cloud console."
            )
    return _hint_of_text(found, text, its_key)


def _hint_of_text(found: Details, text: str, its_key: str) -> str | None:
    if _NOT_INCLUDED.search(text):
        return (
            f". The free tier does not include this model: enable billing for the project of the {its_key}, "
            "or route the model elsewhere."
        )
    if found.of_a_day:
        spent = ", ".join(quota for quota in found.quotas if "PerDay" in quota)
        # https://ai.google.dev/gemini-api/docs/rate-limits: requests per day are counted anew at midnight Pacific time.
        return (
            f". The quota of this day is used up ({spent}): until midnight Pacific time, "
            "use a key of another project, or route the model elsewhere."
        )
    if _ELSEWHERE.match(text):
        return ". Google does not serve the place that dragoman runs in: run it elsewhere, or use Vertex AI."
    place = _PUBLISHER.match(text)
    if place and place[1] != "global":
        # https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations
        return (
            f". Many Gemini models are in the location global only, and not in {place[1]}: use global, "
            "or check the model's name and the project's access."
        )
    return None
