"""A provider of which only the address is known: a caller chose it, and calls are signed with the caller's own key."""

import ipaddress
import re
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman.config import addresses
from dragoman.config.settings import Provider
from dragoman.dialects.contract import Target
from dragoman.providers import QUIRKS, Preset, presets, state_scope

UNKNOWN = "endpoint"
"""Stands for the preset of a host that has none, in scopes of state and before the hosts in names of providers."""

_Header = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key"]


# Stricter than the standards: nothing that two readers of URLs could read in two ways.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[a-z0-9._~+:@=,-]*)*)",
    re.IGNORECASE | re.ASCII,
)
_PORTS = {"https": 443, "http": 80}


class Address(Struct, frozen=True):
    """Scheme and host in lower case; the path without a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def place(self) -> str:
        """Host, and port where it is not the usual one."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"


def address(url: str) -> Address | None:
    """The parts of `url`; None for what is no plain address of a server."""
    found = _URL.fullmatch(url)
    if found is None:
        return None
    scheme, host, path = found["scheme"].lower(), found["host"].lower(), found["path"].rstrip("/")
    port = int(found["port"] or _PORTS[scheme])
    usable = 0 < port < 65536 and {".", ".."}.isdisjoint(path.split("/")) and _is_host(host)
    return Address(scheme, host, port, path) if usable else None


def is_place(entry: str) -> bool:
    """Whether `entry` is a host, or host:port."""
    return "/" not in entry and address(f"https://{entry}") is not None


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return all(host.split("."))  # no empty part
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


def chosen(url: str, row: str | None, *, public: bool, strict: bool) -> Provider:
    """The provider at `url`, which was checked: Chat Completions, or what the preset `row` speaks, with its quirks.

    An address that says so itself is asked in Messages. `public`: only an address of the internet is called. The name
    is none that a configured provider can have.
    """
    preset = presets()[row] if row is not None else None
    spoken = list(preset.languages()) if preset is not None else ["chat"]
    if url.endswith(addresses.MESSAGES):
        spoken = ["anthropic"]
    places = addresses.plain(preset, url, spoken, {})
    name = f"{UNKNOWN}:{urlsplit(url).netloc}"
    template, *others = (
        Target(
            provider=name,
            dialect=dialect,
            base_url=places.urls[dialect][0],
            model="",
            quirks=_quirks(preset, dialect),
            auth="caller",
            caller_as=_header(preset, dialect),
            public=public,
            headers=tuple((header.lower(), value) for header, value in preset.headers.items()) if preset else (),
            state_scope=state_scope(row or UNKNOWN, places.root),
            strict=strict,
        )
        for dialect in spoken
    )
    return Provider(
        name=name,
        title=name,
        ready=True,
        why="is asked with each caller's own key",
        preset=row,
        claude=preset.claude if preset is not None and "anthropic" in spoken else None,
        template=template,
        others=tuple(others),
    )


def _quirks(preset: Preset | None, dialect: str) -> Any:
    return preset.typed_quirks(dialect) if preset and dialect in preset.languages() else QUIRKS[dialect]()


def _header(preset: Preset | None, dialect: str) -> _Header | None:
    """What carries the key. Servers of Messages take it as Anthropic's clients send it, in either header."""
    if dialect == "anthropic":
        return None
    auth = preset.languages()[dialect].auth or preset.auth if preset is not None else "bearer"
    return next((each for each in get_args(_Header) if each == auth), "bearer")
