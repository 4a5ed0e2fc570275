"""What on the client's side quietly wins over the gateway: variables and settings files of Claude Code.

Order of precedence: https://code.claude.com/docs/en/settings
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

# Variables that send Claude Code somewhere else, or give it two credentials.
ELSEWHERE = (
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)
CREDENTIALS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
"""The user's own, among them."""

_DECIDES = (*ELSEWHERE, "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_MODEL")

_MANAGED = {
    "darwin": "/Library/Application Support/ClaudeCode/managed-settings.json",
    "win32": r"C:\Program Files\ClaudeCode\managed-settings.json",
}


class Layer(Struct, frozen=True):
    """Who says a variable of Claude Code. Holds names and paths, never values."""

    name: str
    wins: str  # "the shell" or the path of a settings file
    over: tuple[str, ...]  # who says it in vain, strongest first


class Conflict(Struct, frozen=True):
    """One thing that may win over the gateway. Holds names and paths, never values."""

    where: str  # "environment" or the path of a settings file
    name: str
    advice: str


def in_environment(environ: Mapping[str, str], url: str | None = None) -> list[Conflict]:
    """Variables of the shell that conflict when Claude Code is started by hand, against the gateway at `url`."""
    found = []
    if environ.get("ANTHROPIC_API_KEY") and environ.get("ANTHROPIC_AUTH_TOKEN"):
        found.append(
            Conflict(
                "environment",
                "ANTHROPIC_API_KEY",
                "is set together with ANTHROPIC_AUTH_TOKEN; Claude Code reports an auth conflict: unset one",
            )
        )
    found += [
        Conflict("environment", name, "sends Claude Code past the gateway: unset it")
        for name in ELSEWHERE[1:]
        if environ.get(name) not in (None, "", "0", "false")
    ]
    base = environ.get("ANTHROPIC_BASE_URL", "").rstrip("/")
    if base.endswith("/v1"):
        found.append(
            Conflict("environment", "ANTHROPIC_BASE_URL", "ends in /v1; clients add that themselves: remove it")
        )
    elif base and url and base != url and base != url.replace("127.0.0.1", "localhost"):
        found.append(Conflict("environment", "ANTHROPIC_BASE_URL", f"is not {url}, where this gateway listens"))
    if any(environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        spared = environ.get("NO_PROXY", environ.get("no_proxy", ""))
        if "127.0.0.1" not in spared and spared.strip() != "*":
            found.append(
                Conflict("environment", "HTTP_PROXY", "also catches calls to this machine: add 127.0.0.1 to NO_PROXY")
            )
    return found


def settings_files(environ: Mapping[str, str], home: Path, folder: Path) -> list[Path]:
    """Where Claude Code looks for settings, weakest first."""
    own = Path(environ["CLAUDE_CONFIG_DIR"]) if environ.get("CLAUDE_CONFIG_DIR") else home / ".claude"
    project = folder / ".claude"
    files = [own / "settings.json", project / "settings.json", project / "settings.local.json", managed()]
    return list(dict.fromkeys(files))


def managed(system: str = sys.platform) -> Path:
    """Where an administrator puts settings that win over all others.

    https://code.claude.com/docs/en/managed-settings
    """
    return Path(_MANAGED.get(system, "/etc/claude-code/managed-settings.json"))


def layers(environ: Mapping[str, str], files: list[Path]) -> list[Layer]:
    """For each variable that decides where Claude Code goes: whose value counts. `files`: weakest first."""
    said: dict[str, set[str]] = {"the shell": {name for name, value in environ.items() if value}}
    said |= {str(path): set(_variables(path)) for path in files}
    found = []
    for name in sorted(_DECIDES):
        places = [place for place, variables in said.items() if name in variables][::-1]
        if places:
            found.append(Layer(name, places[0], tuple(places[1:])))
    return found


def knows_claude_code(environ: Mapping[str, str], home: Path) -> bool:
    """Whether Claude Code has been through its welcome, which wants a login; a new installation begins with it."""
    folder = Path(environ["CLAUDE_CONFIG_DIR"]) if environ.get("CLAUDE_CONFIG_DIR") else home
    try:
        found = json.loads((folder / ".claude.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get("hasCompletedOnboarding"))


def _variables(path: Path) -> dict[str, object]:
    """The `env` of a settings file; nothing where there is none."""
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    block = settings.get("env") if isinstance(settings, dict) else None
    return block if isinstance(block, dict) else {}


def _leads_here(variables: Mapping[str, object], url: str | None) -> bool:
    base = str(variables.get("ANTHROPIC_BASE_URL", "")).rstrip("/")
    return bool(url) and base in (url, str(url).replace("127.0.0.1", "localhost"))


def in_settings(files: list[Path], url: str | None = None) -> list[Conflict]:
    """Settings that win over the variables of the shell, and do not lead to the gateway at `url`.

    Files are only read; what cannot be read is said.
    """
    found = []
    for path in files:
        try:
            settings = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            found.append(Conflict(str(path), "", "cannot be read as JSON; Claude Code ignores or refuses it"))
            continue
        if not isinstance(settings, dict):
            continue
        names = _variables(path)
        ours = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN") if _leads_here(names, url) else ()
        found += [
            Conflict(str(path), f"env.{name}", "wins over the variable of the shell")
            for name in _DECIDES
            if name in names and name not in ours
        ]
        if "apiKeyHelper" in settings:
            found.append(Conflict(str(path), "apiKeyHelper", "gives Claude Code a credential of its own"))
    return found
