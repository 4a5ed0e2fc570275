"""What `dragoman serve` says when it listens: where, with what, and how to connect."""

from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from dragoman import __version__
from dragoman.cli.terminal import bad, faint, good, strong, table
from dragoman.config.settings import CALLER, Config, Provider


def short(url: str, config: Config) -> str:
    """One line, for logs and for programs that wait for it."""
    if config.demo:
        names = "the simulated demo model only"
    else:
        names = ", ".join(name for name, provider in config.providers.items() if provider.ready) or "none is ready"
    return f"dragoman {__version__} listens on {url} (providers: {names})"


def full(
    url: str, config: Config, models: Sequence[Sequence[str]], token: str | None, lacking: Sequence[str] = ()
) -> list[str]:
    """The banner for people. `models`: rows of the model table. `token`: shown only when it was made just now.

    `lacking`: what these models cannot do.
    """
    lines = [f"{strong('dragoman')} {__version__} listens on {strong(url)}", ""]
    if config.demo:
        lines += [
            "  No provider is configured; a built-in model answers, which is " + strong("only simulated") + ".",
            "  For a real one, set its key (OPENROUTER_API_KEY, ...) or write a dragoman.yaml, and start again.",
            "",
        ]
    else:
        lines += [strong("Providers"), *table(provider_rows(list(config.providers.values()))), ""]
    lines += [strong("Models"), *table(models), ""]
    if lacking:
        lines += [strong("Not there") + faint(" (docs/compatibility.md)"), *(f"  {each}" for each in lacking), ""]
    callers = [provider.name for provider in config.providers.values() if provider.template.auth == CALLER]
    if callers:
        lines += [f"  {callers[0]} is asked with each caller's own key; keys of yours never go there.", ""]
    needed = bool(config.server.auth_token)
    rows = own_key_rows(url, token, needs_token=needed) if callers else connect_rows(url, token, needs_token=needed)
    lines += [strong("Connect"), *table(rows)]
    if token:
        lines += ["", f"  A token was made, because other machines can reach this address: {strong(token)}"]
        lines += ["  It is kept for the next start and is not shown again."]
    proxies = proxy_lines(config)
    return [*lines, *(["", *proxies] if proxies else []), ""]


def open_lines(url: str) -> list[str]:
    """What everybody must see who starts a gateway that asks for no token."""
    rule = bad("*" * 100)
    return [
        rule,
        bad("  THE DOOR IS OPEN (server.open): whoever reaches " + url + " uses your keys, and you pay."),
        bad("  Only for networks where that is meant. Else take `open` away and set server.auth_token."),
        rule,
    ]


def provider_rows(providers: Sequence[Provider]) -> list[list[str]]:
    """Name, state and reason, ready ones first."""
    return [
        [provider.name, good("ready") if provider.ready else bad("not ready"), faint(provider.why)]
        for provider in sorted(providers, key=lambda each: not each.ready)
    ]


def connect_rows(url: str, token: str | None, *, needs_token: bool) -> list[list[str]]:
    shown = token or ("<server.auth_token>" if needs_token else "dragoman")
    return [
        ["Claude Code", "dragoman claude"],
        ["or", f"ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={shown} claude"],
        ["SDKs", f'Anthropic(base_url="{url}", api_key="{shown}")'],
        ["Try it", curl(url, shown)],
    ]


def curl(url: str, token: str) -> str:
    """A line for a shell that costs nothing, and shows at once whether URL and token are right."""
    return f'curl {url}/v1/models -H "x-dragoman-token: {token}"'


def own_key_rows(url: str, token: str | None, *, needs_token: bool) -> list[list[str]]:
    """The same for callers whose own keys are passed on: the gateway's token has a header of its own."""
    header = f"x-dragoman-token: {token or '<server.auth_token>'}" if token or needs_token else ""
    variable = f'ANTHROPIC_CUSTOM_HEADERS="{header}" ' if header else ""
    fields = ', default_headers={"x-dragoman-token": "..."}' if header else ""
    return [
        ["Claude Code", "dragoman claude"],
        ["or", f"ANTHROPIC_BASE_URL={url} {variable}claude"],
        ["SDKs", f'Anthropic(base_url="{url}", api_key="<your own key>"{fields})'],
        ["Try it", curl(url, token or ("<server.auth_token>" if needs_token else "dragoman"))],
    ]


def proxy_lines(config: Config) -> list[str]:
    """The proxies that calls to upstreams take, without their credentials."""
    found = dict.fromkeys(without_credentials(url) for url in config.proxies.values())
    if not found:
        return []
    spared = f" (not for {', '.join(config.no_proxy)})" if config.no_proxy else ""
    return [f"Calls to providers go through {', '.join(found)}{spared}; calls to this machine never do."]


def without_credentials(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
