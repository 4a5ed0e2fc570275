"""`dragoman doctor`: what is configured, what is reachable, and what on the client's side gets in the way."""

import asyncio
import platform
import sys
from pathlib import Path

import click

from dragoman import __version__
from dragoman.cli import claude, configuration, conflicts, lacks
from dragoman.cli.banner import curl, provider_rows, proxy_lines
from dragoman.cli.configuration import Place
from dragoman.cli.live import Live
from dragoman.cli.reach import one, reach
from dragoman.cli.reading import with_token
from dragoman.cli.terminal import bad, faint, good, say, strong, table
from dragoman.config.settings import CALLER, Config, Provider, Secrets
from dragoman.dialects import DIALECTS
from dragoman.gateway.forwarding import destination
from dragoman.messages.errors import ApiError
from dragoman.providers import Account, google
from dragoman.routing import Router

LIVE_LIMIT = 60.0  # seconds that a provider gets for one token


@click.command("doctor")
@configuration.option
@click.option("--live", is_flag=True, help="Also ask each ready provider for one token. This may cost a little.")
def command(file: Path | None, live: bool) -> None:
    """Check the configuration, the keys (never shown), the network, and settings of clients that conflict."""
    place = configuration.here()
    settings, secrets = configuration.load(file, place)
    say(f"{strong('dragoman')} {__version__}, Python {platform.python_version()}, {platform.system()}")
    say()
    problems = show_configuration(settings)
    url = show_gateway(settings)
    problems += show_providers(settings, secrets)
    problems += show_claude(settings, url)
    problems += show_google(settings)
    problems += show_reach(settings)
    if live:
        problems += show_live(settings, secrets, place)
    problems += show_conflicts(place, url)
    say()
    say(good("No problem found.") if not problems else bad(f"{problems} problem{'s' if problems > 1 else ''} found."))
    sys.exit(1 if problems else 0)


def show_configuration(settings: Config) -> int:
    say(strong("Configuration") + faint(" (what is named later wins)"))
    for source in settings.sources or ("nothing: no file, no variable",):
        say(f"  {source}")
    for line in proxy_lines(settings):
        say(f"  {line}")
    say()
    return 0


def show_gateway(settings: Config) -> str:
    """Whether one runs. Returns its URL."""
    url = claude.own_url(settings)
    say(strong("Gateway"))
    say(f"  {url}  " + (good("running") if claude.answers(url) else faint("not running; start it: dragoman serve")))
    say(f"  try it: {curl(url, '<server.auth_token>' if settings.server.auth_token else 'dragoman')}")
    say()
    return url


def show_providers(settings: Config, secrets: Secrets) -> int:
    say(strong("Providers"))
    if settings.demo:
        say("  none is configured: the simulated demo model serves")
    rows = provider_rows(list(settings.providers.values()))
    for row in rows:
        key = settings.providers[row[0]].template.key
        row.append(faint("" if key is None else "key present" if key in secrets else "key missing"))
    for line in table(rows):
        say(line)
    for line in lacks.lines(settings):
        say("  " + faint(line))
    say()
    return sum(not provider.ready for provider in settings.providers.values())


def show_claude(settings: Config, url: str) -> int:
    """Which providers have Claude, whose key is used there, and where its names go."""
    found = [each for each in settings.providers.values() if each.claude or each.template.auth == CALLER]
    if not found:
        return 0
    say(strong("Claude"))
    for line in table([each.name, whose_key(each), faint(each.template.base_url)] for each in found):
        say(line)
    native = Router(settings).of_claude()
    if native is not None:
        say(f"  names of Claude that `models:` does not map go to {good(native.name)}, untranslated")
    where = destination(settings, DIALECTS)
    if isinstance(where, ApiError):
        say("  " + faint(f"files, batches and skills are not forwarded: {where.message}"))
    else:
        say(f"  files, batches and skills are forwarded to {good(where.provider)}")
    problems = 0
    for provider in found:
        if provider.ready and provider.template.base_url.startswith((url, url.replace("127.0.0.1", "localhost"))):
            say(f"  {provider.name}  {bad('calls this gateway itself')}  set its base_url to the upstream's")
            problems += 1
    say()
    return problems


def whose_key(provider: Provider) -> str:
    """Whose credentials go to a provider; never what they are."""
    target = provider.template
    if not provider.ready:
        return bad("not ready")
    if target.auth == CALLER:
        return "each caller's own key, never one of yours"
    if target.auth in ("entra", "google"):
        return "your identity's tokens"
    return f"your key {target.key}" if target.key else "no key"


def show_google(settings: Config) -> int:
    """Where Google's providers are, and whether credentials that are no file can be there at all."""
    found = [each for each in settings.providers.values() if each.template.auth in ("google", "x-goog-api-key")]
    if not found:
        return 0
    say(strong("Google"))
    for line in table([each.name, each.where or "Gemini API", faint(each.template.base_url)] for each in found):
        say(line)
    problems = 0
    for provider in ready(settings):
        account = provider.identity
        if isinstance(account, Account) and account.file is None:
            problems += _no_metadata(settings, provider.name, account)
    say()
    return problems


def _no_metadata(settings: Config, name: str, account: Account) -> bool:
    """Whether a provider signs by a machine that has no credentials of its own."""
    reached = asyncio.run(one(settings, name, f"http://{account.metadata}"))
    if reached.good:
        say(f"  {name}  {good('metadata server')}  {faint(account.metadata)}")
        return False
    say(f"  {name}  {bad('no credentials')}  no file, and no metadata server ({reached.why})")
    say(f"  {'':{len(name)}}  run: {google.LOGIN}")
    return True


def ready(settings: Config) -> list[Provider]:
    return [provider for provider in settings.providers.values() if provider.ready]


def show_reach(settings: Config) -> int:
    providers = [each for each in ready(settings) if each.sidecar is None]  # those are started when they are asked
    if not providers:
        return 0
    say(strong("Network"))
    found = asyncio.run(reach(settings, providers))
    for line in table(
        [each.provider, good("reached") if each.good else bad("not reached"), each.why] for each in found
    ):
        say(line)
    say()
    return sum(not each.good for each in found)


def show_live(settings: Config, secrets: Secrets, place: Place) -> int:
    """A one-token call for each ready provider, by the way that every request takes."""
    known = [provider for provider in ready(settings) if provider.small or provider.big or provider.models]
    providers = [provider for provider in known if provider.template.auth != CALLER]
    say(strong("Live"))
    for provider in ready(settings):
        if provider not in providers:
            why = "it is asked with callers' own keys" if provider in known else "no model of it is known"
            say(f"  {provider.name}  " + faint(f"not asked: {why}"))
    if settings.demo:
        say("  " + faint("not asked: only the simulated demo model is there"))
    failed = asyncio.run(_live(settings, secrets, place, providers))
    say()
    return failed


async def _live(settings: Config, secrets: Secrets, place: Place, providers: list[Provider]) -> int:
    from dragoman.server.application import build  # noqa: PLC0415 - only with --live

    settings, _ = with_token(settings, place)
    failed = 0
    async with Live(build(settings, secrets, write=_quiet), settings.server.auth_token) as gateway:
        models = [f"{each.name}/{each.small or each.big or each.models[0]}" for each in providers]
        replies = await asyncio.gather(*(gateway.ask(model, LIVE_LIMIT) for model in models))
        for model, reply in zip(models, replies, strict=True):
            works = reply.status == 200
            failed += not works
            say(f"  {model}  {good('works') if works else bad(str(reply.status or 'silent'))}  {reply.message()}")
    return failed


def _quiet(line: str) -> None:
    """The log of requests is not for here: what went wrong is in the replies."""
    del line


def show_conflicts(place: Place, url: str) -> int:
    files = conflicts.settings_files(place.environ, place.home, place.folder)
    found = conflicts.in_environment(place.environ, url)
    found += conflicts.in_settings(files, url)
    say(strong("Client side") + faint(" (of Claude Code)"))
    for line in table(
        [each.name, f"counts from {each.wins}", faint(f"not from {', '.join(each.over)}" if each.over else "")]
        for each in conflicts.layers(place.environ, files)
    ):
        say(line)
    if not conflicts.knows_claude_code(place.environ, place.home):
        say("  " + faint("a new Claude Code begins with a login: docs/clients.md says how to go on without"))
    for line in table([bad(each.name or "file"), each.advice, faint(each.where)] for each in found):
        say(line)
    if not found:
        say("  nothing conflicts")
    return len(found)
