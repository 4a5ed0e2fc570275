"""What Claude Code is told by variables: where the gateway is, and what its models are.

Variables: https://code.claude.com/docs/en/env-vars
"""

from collections.abc import Mapping

from dragoman.cli import conflicts
from dragoman.config import Config
from dragoman.config.names import PREFIX, claude
from dragoman.config.settings import CALLER
from dragoman.messages.errors import ApiError
from dragoman.routing import Router

ANY_TOKEN = "dragoman"  # noqa: S105 - no secret: an open gateway takes every word, and clients want to send one
BASE_URL, TOKEN, HEADERS = "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"
PICKED = ("opus", "sonnet", "fable", "haiku")  # families that Claude Code has an entry and a variable for
BELIEVED = 1_000_000  # tokens: the window that Claude Code gives to current models, and to those it does not know
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_SPARED = ("127.0.0.1", "localhost", "::1")


def way(url: str, token: str, *, callers: bool, headers: str | None = None) -> dict[str, str]:
    """The way to the gateway.

    `callers`: an upstream is asked with the user's own key or login, so the gateway's token goes in a header of its
    own, behind the user's `headers`.
    """
    if not callers:
        return {BASE_URL: url, TOKEN: token}
    if token == ANY_TOKEN:
        return {BASE_URL: url}
    kept = [line for line in (headers or "").splitlines() if not line.lower().startswith("x-dragoman-token:")]
    return {BASE_URL: url, HEADERS: "\n".join((*kept, f"x-dragoman-token: {token}"))}


def wishes(settings: Config) -> dict[str, str]:
    """What makes Claude Code fit the configured models. What the user has set already stays."""
    router = Router(settings)
    found = {"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1"}  # the picker shows what the gateway lists
    if router.of_claude() is None:  # the attribution block would only be taken out again
        found["CLAUDE_CODE_ATTRIBUTION_HEADER"] = "0"
    return found | _windows(router)


def _windows(router: Router) -> dict[str, str]:
    """Names and windows of models that are smaller than Claude Code believes.

    CLAUDE_CODE_MAX_CONTEXT_TOKENS does not count for names of Claude that it knows. `claude/opus` it does not know, and
    here it leads where `opus` leads. The window is one for all: the smallest that conversations have; haiku is for
    short requests in the background.
    """
    found, sizes = {}, {}
    for family in PICKED:
        try:
            target = router.route(family).targets[0]
        except ApiError:
            continue
        window = target.facts.context
        if window is None or window >= BELIEVED or claude(target.model) is not None:
            continue
        found[f"ANTHROPIC_DEFAULT_{family.upper()}_MODEL"] = PREFIX + family
        found[f"ANTHROPIC_DEFAULT_{family.upper()}_MODEL_NAME"] = f"{target.provider}/{target.model}"
        sizes[family] = window
    if "opus" in sizes:  # unasked it takes `claude/opus[1m]`, and `[1m]` is a window as well
        found["ANTHROPIC_DEFAULT_MODEL"] = "opus"
    if sizes:
        talking = [size for family, size in sizes.items() if family != "haiku"]
        found["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(min(talking or sizes.values()))
    return found


def asks_callers(settings: Config) -> bool:
    return any(provider.template.auth == CALLER for provider in settings.providers.values())


def told(
    settings: Config, url: str, token: str, environ: Mapping[str, str], headers: str | None = None
) -> dict[str, str]:
    """All of it, for a shell or a settings file. `headers`: those that are there already."""
    found = way(url, token, callers=asks_callers(settings), headers=headers) | wishes(settings)
    if any(environ.get(name) or environ.get(name.lower()) for name in _PROXIES):
        found["NO_PROXY"] = spared(environ.get("NO_PROXY", ""))
    return found


def environment(environ: Mapping[str, str], settings: Config, url: str, token: str) -> dict[str, str]:
    """The environment of a child: everything that the user has, and the way to the gateway."""
    callers = asks_callers(settings)
    left_out = frozenset(conflicts.ELSEWHERE) - frozenset(conflicts.CREDENTIALS if callers else ())
    child = {name: value for name, value in environ.items() if name not in left_out}
    if callers and child.get(TOKEN) in (token, ANY_TOKEN):
        del child[TOKEN]
    child |= way(url, token, callers=callers, headers=child.get(HEADERS))
    for name, value in wishes(settings).items():
        child.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        child[name] = spared(child.get(name, ""))
    return child


def spared(hosts: str) -> str:
    """`NO_PROXY` with this machine in it."""
    found = [host for host in hosts.split(",") if host]
    return hosts if found == ["*"] else ",".join(dict.fromkeys([*found, *_SPARED]))
