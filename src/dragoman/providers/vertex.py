"""Vertex AI's addresses: project, location, and the URLs that are made of them.

https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations
"""

import re
from urllib.parse import quote, urlsplit

from msgspec import Struct

from dragoman.providers.tokens import safe

VERSION = "v1"
"""An address with another one, like `https://aiplatform.googleapis.com/v1beta1`, gets the newest fields earlier."""

_MULTI_REGIONS = frozenset({"us", "eu"})
_LOCATION = re.compile(r"[a-z][a-z0-9-]{1,39}")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")  # an id, a number, or `domain.example:id`
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")
_WHOLE = re.compile(r"(?P<prefix>.*/v[0-9a-z]+)/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)(?:/.*)?")

EXAMPLE = "https://aiplatform.googleapis.com"


class Endpoint(Struct, frozen=True):
    """Where Vertex AI is called: a host with a version, and what an address said besides."""

    root: str = ""  # "https://HOST/v1beta1"; "": Google's own host of the location
    project: str = ""
    location: str = ""


def host(location: str) -> str:
    """The host that serves a location; `global` has no prefix, and multi-regions have a form of their own."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def address(root: str, project: str, location: str, publisher: str = "google") -> str:
    """The base URL: `/models/...` is appended. `root` as in `Endpoint`. `publisher`: whose models."""
    root = root or f"https://{host(location)}/{VERSION}"
    return f"{root}/projects/{quote(project, safe=':')}/locations/{location}/publishers/{publisher}"


def endpoint(text: str) -> Endpoint:
    """What an address means: a host, with or without a version, or any URL with a project and a location in it.

    Raises ValueError that says what is wrong, without the text.
    """
    text = text.strip()
    text = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("http", "https") or re.search(r"[\s<>\"'\\^`{|}]", text):
        raise ValueError(f"is no address; write it like {EXAMPLE}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("holds a user, a password, `?` or `#`; an address has none of them")
    if not safe(text):
        raise ValueError("must begin with https://, because tokens go there")
    path = parts.path.rstrip("/")
    if found := _WHOLE.fullmatch(path):
        root = f"{parts.scheme}://{parts.netloc}{found['prefix']}"
        return Endpoint(root, project(found["project"]), location(found["location"]))
    if not _VERSION.fullmatch(path.rpartition("/")[2]):
        path += f"/{VERSION}"
    return Endpoint(f"{parts.scheme}://{parts.netloc}{path}")


def project(text: str) -> str:
    """A project's id or number. Raises ValueError."""
    text = text.strip()
    if not _PROJECT.fullmatch(text):
        raise ValueError("is no project: write its id, like my-project-123")
    return text


def location(text: str) -> str:
    """A location. Raises ValueError."""
    text = text.strip().lower()
    if not _LOCATION.fullmatch(text):
        raise ValueError("is no location: write one like global, eu or europe-west4")
    return text
