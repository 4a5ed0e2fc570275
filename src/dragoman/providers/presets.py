"""The rows of `presets.toml`, typed and checked: an error names the row and the field that is wrong."""

import tomllib
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from dragoman.dialects.anthropic.quirks import Quirks as AnthropicQuirks
from dragoman.dialects.chat.quirks import Quirks as ChatQuirks
from dragoman.dialects.gemini.quirks import Quirks as GeminiQuirks
from dragoman.dialects.responses.quirks import Quirks as ResponsesQuirks
from dragoman.providers.claude import Form

Auth = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "google", "none"]

QUIRKS: MappingProxyType[str, type[Struct]] = MappingProxyType(
    {"chat": ChatQuirks, "responses": ResponsesQuirks, "gemini": GeminiQuirks, "anthropic": AnthropicQuirks}
)
"""The type of the quirks of each dialect."""


class Language(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further language of a provider."""

    base_url: str | None = None
    """What this language's path is appended to, where it is another address."""

    path: str = ""
    """What its address has behind the provider's."""

    auth: Auth | None = None
    """How the key is sent in this language, where it is another way."""

    quirks: dict[str, Any] = {}
    """How it differs from the defaults of this dialect."""


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider that is known without being described. https://docs.litellm.ai/docs/providers lists most of them."""

    title: str
    """Its name for people."""

    base_url: str
    """What the dialect's path is appended to. `${NAME}` stands for a variable of the environment, e.g. an account."""

    base_url_keys: tuple[str, ...] = ()
    """Variables that hold another base URL; the first one set wins."""

    hosts: tuple[str, ...] = ()
    """Further hosts of the same API: callers that choose a host themselves may choose these, too."""

    keys: tuple[str, ...] = ()
    """Variables that hold the key; the first one set wins."""

    auth: Auth = "bearer"
    """How the key is sent."""

    dialect: str = "chat"
    """The language it speaks, or is asked in where models.toml does not say another one."""

    chat: Language | None = None
    """Chat Completions, where `dialect` is another one."""

    responses: Language | None = None
    """Responses, where `dialect` is another one."""

    gemini: Language | None = None
    """Gemini's generateContent, where `dialect` is another one."""

    anthropic: Language | None = None
    """Anthropic's Messages, where `dialect` is another one."""

    claude: Form | None = None
    """How it names the models of Claude, where it has them; see claude.py. Where its own dialect is Messages too,
    Claude's names go to it when nothing else is said."""

    addressing: Literal["plain", "host", "azure", "vertex", "region", "sidecar"] = "plain"
    """`host`: a base URL without a path gets that of the preset, as Google's libraries do it. `azure`: an endpoint in
    any form, deployments instead of models, and two kinds of URLs; see azure.py. `vertex`: a project and a location;
    see vertex.py. `region`: `{location}` in an address stands for a region of a cloud. `sidecar`: a server that
    dragoman starts itself; `base_url` is a stand-in for where it listens."""

    environment_keys: tuple[str, ...] = ()
    """Variables that list the variables that a sidecar gets; the first one set wins."""

    project_keys: tuple[str, ...] = ()
    """Variables that hold a project of Google Cloud; the first one set wins."""

    location_keys: tuple[str, ...] = ()
    """Variables that hold its location, or a region of another cloud; the first one set wins."""

    instead: str | None = None
    """The preset that is taken instead of this one when a variable of `instead_keys` is true."""

    instead_keys: tuple[str, ...] = ()
    """Variables that are true or false; the first one set decides."""

    version_keys: tuple[str, ...] = ()
    """Variables that hold Azure's API version; the first one set wins."""

    token_keys: tuple[str, ...] = ()
    """Variables that hold a ready token, sent as `Authorization: Bearer`, when there is no key."""

    model_keys: tuple[str, ...] = ()
    """Variables that hold the name of a model; the first one set wins."""

    facts_of: str | None = None
    """The preset whose models these are, under names of the user's own: facts are looked up by the model that the
    configuration says, never by such a name."""

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

    def languages(self) -> dict[str, Language]:
        """Every language that it speaks, its own first."""
        own = Language(quirks=self.quirks)
        further = {name: language for name in QUIRKS if (language := getattr(self, name)) is not None}
        return {self.dialect: own, **further}

    def typed_quirks(self, dialect: str = "") -> Struct:
        """The quirks in one of its languages. Raises msgspec.ValidationError."""
        dialect = dialect or self.dialect
        return msgspec.convert(self.languages()[dialect].quirks, QUIRKS[dialect])


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
            if getattr(preset, preset.dialect) is not None:
                raise RowError(f"{file}: [{name}]: {preset.dialect} is its dialect; its quirks are [{name}.quirks]")
            for dialect in preset.languages():
                preset.typed_quirks(dialect)
        except msgspec.ValidationError as error:
            raise RowError(f"{file}: [{name}]: {error}") from None
        rows[name] = preset
    return MappingProxyType(rows)
