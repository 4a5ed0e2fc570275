"""Azure's addresses: an endpoint as people paste it, and the URLs that are made of it.

A resource has one host, and two kinds of URLs on it: the v1 API, `/openai/v1`, without a version; and, before that,
`/openai/deployments/NAME` with a dated `api-version`. https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
Claude is at `/anthropic`, without a version: https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude
"""

import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from msgspec import Struct

RESPONSES_SINCE = "2025-03-01"
"""Dated versions before this one have no Responses. https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses"""

_SCOPE = "https://cognitiveservices.azure.com/.default"
_LOGIN = "https://login.microsoftonline.com"

# Suffix of a host -> what tokens for it are asked for, and where.
# https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity, and the hosts of sovereign clouds:
# https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure
_HOSTS = {
    ".openai.azure.com": (_SCOPE, _LOGIN),
    ".cognitiveservices.azure.com": (_SCOPE, _LOGIN),
    ".api.cognitive.microsoft.com": (_SCOPE, _LOGIN),
    ".services.ai.azure.com": ("https://ai.azure.com/.default", _LOGIN),
    ".openai.azure.us": ("https://cognitiveservices.azure.us/.default", "https://login.microsoftonline.us"),
    ".cognitiveservices.azure.us": ("https://cognitiveservices.azure.us/.default", "https://login.microsoftonline.us"),
    ".openai.azure.cn": ("https://cognitiveservices.azure.cn/.default", "https://login.chinacloudapi.cn"),
    ".cognitiveservices.azure.cn": ("https://cognitiveservices.azure.cn/.default", "https://login.chinacloudapi.cn"),
}
_PORTALS = frozenset({"ai.azure.com", "oai.azure.com", "portal.azure.com", "ml.azure.com", "portal.azure.us"})
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,63}")
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_UNDATED = frozenset({"v1", "preview", "latest"})

EXAMPLE = "https://RESOURCE.openai.azure.com"
OPENAI = "openai.azure.com"
FOUNDRY = "services.ai.azure.com"
"""What stands behind the name of a resource, by what it is mostly asked for."""


class Endpoint(Struct, frozen=True):
    """A resource, and what else a pasted address said."""

    root: str  # what "/openai" and "/anthropic" are appended to
    version: str = ""  # dated
    v1: bool = False  # the address is one of the v1 API
    deployment: str = ""


def endpoint(text: str, service: str = OPENAI) -> Endpoint:
    """The resource that `text` means: a name, a host, or any address of it that the portal or a document shows.

    `service`: what is behind a bare name. Raises ValueError that says what is wrong, without the text.
    """
    text = text.strip().strip("\"'<>").strip()
    if _RESOURCE.fullmatch(text) and text.lower() != "localhost":
        return Endpoint(f"https://{text.lower()}.{service}")
    parts = _split(text if "://" in text else f"https://{text}")
    host = (parts.hostname or "").lower()
    if host in _PORTALS:
        raise ValueError(f"is a page of the portal; copy the endpoint from there, e.g. {EXAMPLE}")
    of_azure = any(host.endswith(suffix) for suffix in _HOSTS)
    segments = [segment for segment in parts.path.split("/") if segment]
    prefix, rest = _cut(segments)
    if of_azure:
        prefix = []  # paths of other APIs, e.g. /models or /api/projects/NAME
    port = f":{parts.port}" if parts.port else ""
    scheme = "https" if of_azure else parts.scheme
    root = "/".join([f"{scheme}://{f'[{host}]' if ':' in host else host}{port}", *prefix])
    v1 = rest[:1] == ["v1"]
    asked = parse_qs(parts.query).get("api-version", [""])[-1]
    of_another_api = of_azure and segments[:1] in (["models"], ["api"], ["anthropic"])
    version = "" if v1 or of_another_api else dated(asked)
    deployment = unquote(rest[1]) if rest[:1] == ["deployments"] and len(rest) > 1 else ""
    return Endpoint(root, version, v1 or asked in _UNDATED, deployment)


def known(root: str) -> bool:
    """Whether this is a host of Azure, and no gateway in front of it."""
    host = urlsplit(root).hostname or ""
    return any(host.endswith(suffix) for suffix in _HOSTS)


def dated(version: str) -> str:
    """A dated API version as it is, "" for the words that mean the v1 API. Raises ValueError for others."""
    version = version.strip().lower()
    if not version or version in _UNDATED:
        return ""
    if not _DATED.fullmatch(version):
        raise ValueError("is no API version: write a date like 2025-04-01-preview, or `v1`")
    return version


def address(root: str, version: str, dialect: str) -> tuple[str, str] | None:
    """Base URL and query for one language; None when this version does not have it. `{model}` is the deployment."""
    if dialect == "anthropic":
        return f"{root}/anthropic", ""
    if not version:
        return f"{root}/openai/v1", ""
    query = f"api-version={version}"
    if dialect == "responses":
        return (f"{root}/openai", query) if version >= RESPONSES_SINCE else None
    return f"{root}/openai/deployments/{{model}}", query


def login(root: str) -> tuple[str, str]:
    """The scope of tokens for a resource, and the authority that gives them. Custom domains are the public cloud's."""
    host = urlsplit(root).hostname or ""
    return next((found for suffix, found in _HOSTS.items() if host.endswith(suffix)), (_SCOPE, _LOGIN))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[^\s<>\"'\\^`{|}]+", url):
        raise ValueError(f"is no endpoint; write it like {EXAMPLE}")
    if parts.username or parts.password:
        raise ValueError("holds a user or a password; the key has a place of its own")
    return parts


def _cut(segments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after `openai` in a path, or before `anthropic`. A deployment may have that name, and so
    may a prefix.
    """
    for at in range(len(segments) - 1, -1, -1):
        before = [segment.lower() for segment in segments[max(at - 2, 0) : at]]
        if segments[at].lower() == "openai" and before != ["openai", "deployments"]:
            return segments[:at], [segment if n else segment.lower() for n, segment in enumerate(segments[at + 1 :])]
    if "anthropic" in segments:
        return segments[: len(segments) - 1 - segments[::-1].index("anthropic")], []
    end = len(segments)
    for tail in (["chat", "completions"], ["responses"], ["v1", "messages"]):
        if segments[-len(tail) :] == tail:
            end -= len(tail)
    return segments[:end], []
