"""The rows of `presets.toml`, typed and checked: an error names the row and the field that is wrong."""

import tomllib
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from dragoman.dialects.chat.quirks import Quirks as ChatQuirks
from dragoman.dialects.responses.quirks import Quirks as ResponsesQuirks

Auth = Literal["bearer", "x-api-key", "api-key", "none"]

QUIRKS: MappingProxyType[str, type[Struct]] = MappingProxyType({"chat": ChatQuirks, "responses": ResponsesQuirks})
"""The type of the quirks of each dialect."""


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider that is known without being described. https://docs.litellm.ai/docs/providers lists most of them."""

    title: str
    """Its name for people."""

    base_url: str
    """What the dialect's path is appended to. `${NAME}` stands for a variable of the environment, e.g. an account."""

    base_url_keys: tuple[str, ...] = ()
    """Variables that hold another base URL; the first one set wins."""

    keys: tuple[str, ...] = ()
    """Variables that hold the key; the first one set wins."""

    auth: Auth = "bearer"
    """How the key is sent."""

    dialect: str = "chat"
    """The language it speaks."""

    big: str | None = None
    """Its model for opus, sonnet and every other large family."""

    small: str | None = None
    """Its model for haiku."""

    models: tuple[str, ...] = ()
    """A few models that it is known to offer; others can be asked for by `provider/model`."""

    documentation: str = ""
    """Where its API is described."""

    headers: dict[str, str] = {}
    """Fixed extra headers."""

    local: bool = False
    """A server on one's own machine: it needs no key."""

    quirks: dict[str, Any] = {}
    """How it differs from the defaults of its dialect."""

    def typed_quirks(self) -> Struct:
        """The dialect's own quirks. Raises msgspec.ValidationError."""
        return msgspec.convert(self.quirks, QUIRKS[self.dialect])


class RowError(ValueError):
    """A row of a shipped table is wrong. The message names file, row and field."""


@cache
def presets() -> MappingProxyType[str, Preset]:
    """All presets by name, in the order of the file. Raises RowError."""
    return read(Path(__file__).with_name("presets.toml").read_text("utf-8"))


def read(text: str, file: str = "presets.toml") -> MappingProxyType[str, Preset]:
    """The presets in TOML `text`. Raises RowError."""
    rows: dict[str, Preset] = {}
    for name, row in tomllib.loads(text).items():
        try:
            preset = msgspec.convert(row, Preset)
            if preset.dialect not in QUIRKS:
                raise RowError(f"{file}: [{name}]: there is no dialect {preset.dialect!r}")
            preset.typed_quirks()
        except msgspec.ValidationError as error:
            raise RowError(f"{file}: [{name}]: {error}") from None
        rows[name] = preset
    return MappingProxyType(rows)
