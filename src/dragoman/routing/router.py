"""Model name -> route. The route is resolved once per request, the same for stream, whole answer and token count.

Order: exact name, `provider/model`, patterns and families in the order of the file, Claude's names at a provider of
Claude, a bare name that exactly one active provider lists; else an error that lists what exists. Nothing is ever sent
to a default in silence.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from dragoman.config.destinations import PASSTHROUGH
from dragoman.config.names import FAMILIES, PREFIX, bare, claude, find
from dragoman.config.problems import did_you_mean
from dragoman.config.settings import Config, Group, Leads, Provider
from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.messages.notes import Note
from dragoman.providers import claude as platforms
from dragoman.providers import presets, target, unknown
from dragoman.routing.route import Choice, Route
from dragoman.routing.route import Group as Choices

CACHE_LIMIT = 512  # names; callers choose them
SHOWN_LIMIT = 30  # names in an error
UNKNOWN_DATE = "1970-01-01T00:00:00Z"  # as Anthropic does where the date of release is unknown
SMALL_FAMILIES = frozenset({"haiku"})
ALL_OF_CLAUDE = "claude-*"

Place = tuple[str, str]  # provider, model


class Row(Struct, frozen=True):
    """One line of the model table: what callers ask for, where it goes, and why."""

    name: str
    targets: tuple[str, ...]  # `provider/model`, tried in order; empty when there is no ready one
    why: str


class Listed(Struct, frozen=True):
    """One model of `GET /v1/models`. Limits are tokens, None when they are not known."""

    id: str
    display_name: str
    created_at: str
    max_input_tokens: int | None
    max_tokens: int | None


class _Search(Struct):
    """What was found so far for one name."""

    asked: str  # without what clients put around it
    steps: list[str]
    notes: list[Note]
    groups: list[dict[Place, float]]  # places that share the work -> their weights; one group after the other
    overflow: tuple[Group, ...] = ()  # what the first entry on the way says about longer conversations


class Router:
    """Resolves names by one configuration."""

    def __init__(self, config: Config) -> None:
        self._providers = config.providers
        self._models = dict(config.models)
        self._thinker = config.thinker
        self._routes: dict[tuple[str, bool], Route] = {}

    def route(self, name: str, *, thinking: bool = False) -> Route:
        """The targets for `name`, in the order in which they are tried. `thinking`: the request wants it.

        Raises ApiError: "not_found" for a name that leads nowhere, "upstream_authentication" when the only providers
        that it leads to have no key.
        """
        asked = name, thinking and bool(self._thinker)
        known = self._routes.get(asked)
        if known is None:
            known = self._resolved(name, thinking=asked[1])
            if len(self._routes) >= CACHE_LIMIT:
                del self._routes[next(iter(self._routes))]
            self._routes[asked] = known
        return known

    def of_claude(self) -> Provider | None:
        """The provider that Claude's names go to under their own names, unless `models:` says otherwise."""
        return self._of_claude()

    def table(self) -> list[Row]:
        """What callers may ask for, in the order in which it is looked up; families last, when they are not mapped."""
        rows = [self._row(key) for key in self._models]
        rows += [self._row(family) for family in FAMILIES if family not in self._models]
        if self._of_claude() is not None and ALL_OF_CLAUDE not in self._models:
            rows.append(self._row(ALL_OF_CLAUDE))
        return rows

    def listing(self) -> list[Listed]:
        """Models for `GET /v1/models`: entries of `models:`, then what ready providers are known to offer.

        Claude Code's picker keeps only ids that begin with `claude`, so foreign ones begin with `claude/`, which is
        taken off again when they are asked for.
        """
        found: dict[str, Listed] = {}
        for key in self._models:
            if "*" not in key:
                self._list(found, key if key.startswith("claude") else PREFIX + key, key)
        for provider in self._providers.values():
            if provider.ready:
                for model in provider.models:
                    name = f"{provider.name}/{model}"
                    known = self._leads(model, provider.name)
                    self._list(found, model if known else PREFIX + name, model if known else name)
        return list(found.values())

    def find(self, name: str) -> Listed | None:
        """The model `name`, in any form that a request could use; None when a request with it would fail."""
        try:
            route = self.route(name)
        except ApiError:
            return None
        return _listed(name, bare(name), route.targets[0])

    def _list(self, found: dict[str, Listed], identity: str, name: str) -> None:
        try:
            found.setdefault(identity, _listed(identity, name, self.route(name).targets[0]))
        except ApiError:
            return  # not ready: the banner and `dragoman models` say why

    def _leads(self, model: str, provider: str) -> bool:
        """Whether the picker keeps the model's own name, and the name leads there."""
        if not model.startswith("claude"):
            return False
        try:
            first = self.route(model).targets[0]
        except ApiError:
            return False
        return (first.provider, first.model) == (provider, model)

    def _row(self, name: str) -> Row:
        try:
            route = self.route(name)
        except ApiError as error:
            return Row(name, (), error.message)
        return Row(name, tuple(f"{each.provider}/{each.model}" for each in route.targets), "; ".join(route.steps))

    def _resolved(self, name: str, *, thinking: bool) -> Route:
        asked = name if name in self._models else bare(name)
        search = _Search(asked, [], [], [])
        if asked != name:
            search.steps.append(f"{name[:200]} is read as {asked[:200]}")
            if name.rstrip().lower().endswith("[1m]"):
                search.notes.append(Note("ignored", "model.context_suffix", "model"))
        if thinking and claude(asked) is not None:
            search.steps.append(f"{asked[:200]} is asked to think and goes to {self._thinker}")
            self._lead(self._thinker, search)
        else:
            self._follow(asked, search)
        if not search.groups:
            raise self._unknown(asked)
        places = list(dict.fromkeys(place for group in search.groups for place in group))
        ready = [place for place in places if self._providers[place[0]].ready]
        if not ready:
            raise self._not_ready([self._providers[provider] for provider, _ in places])
        for provider in dict.fromkeys(provider for provider, _ in places if not self._providers[provider].ready):
            search.steps.append(f"{provider} is left out: {self._providers[provider].why}")
        search.steps += filter(None, (unknown(self._providers[provider], model) for provider, model in ready))
        for provider in dict.fromkeys(provider for provider, _ in ready):
            if len(keys := self._providers[provider].keys) > 1:
                search.steps.append(f"{provider} has {len(keys)} keys, and each conversation keeps to one")
        groups = self._choices(search.groups)
        plain = all(len(group) == 1 and len(group[0].slots) == 1 for group in groups)
        return Route(
            requested=name,
            targets=tuple(choice.slots[0] for group in groups for choice in group),
            groups=() if plain else groups,
            overflow=self._overflow(search),
            steps=tuple(search.steps),
            notes=tuple(search.notes),
        )

    def _choices(self, groups: Iterable[dict[Place, float]]) -> tuple[Choices, ...]:
        """Targets in place of places, each with all its keys. What is not ready, or comes again, is left out."""
        seen: set[Place] = set()
        found = []
        for group in groups:
            choices = []
            for place, weight in group.items():
                provider = self._providers[place[0]]
                if provider.ready and place not in seen:
                    seen.add(place)
                    target = self._target(*place)
                    slots = tuple(structs.replace(target, key=key) for key in provider.keys) or (target,)
                    choices.append(Choice(slots, weight))
            if choices:
                found.append(tuple(choices))
        return tuple(found)

    def _overflow(self, search: _Search) -> tuple[Choices, ...]:
        if not search.overflow:
            return ()
        longer = _Search(search.asked, [], [], [])
        self._lead(Leads(search.overflow), longer)
        search.steps.append(f"a conversation that is too long goes to {Leads(search.overflow)}")
        return self._choices(longer.groups)

    def _lead(self, leads: Leads, search: _Search) -> None:
        """Add what the names lead to. Names of one group share the work: so do the first places that they lead to."""
        search.overflow = search.overflow or leads.overflow
        for group in leads.groups:
            shared: dict[Place, float] = {}
            after: list[dict[Place, float]] = []
            for name, weight in group:
                found = structs.replace(search, groups=[])
                self._follow(bare(name), found)
                search.notes, search.overflow = found.notes, search.overflow or found.overflow
                for place, part in (found.groups[0] if found.groups else {}).items():
                    share = weight * part / sum(found.groups[0].values())
                    shared[place] = shared.get(place, 0.0) + share
                after += found.groups[1:]
            search.groups += filter(None, [shared, *after])

    def _follow(self, name: str, search: _Search) -> None:
        """Add the places that `name` leads to. The configuration has no circles."""
        if name == PASSTHROUGH and name not in self._models:
            self._pass_through(search)
            return
        found = find(name, self._models, self._providers)
        native = self._of_claude()
        if found is None:
            self._unmapped(name, search)
            return
        if found.how == "unmapped" and native is not None:
            self._native(name, native, search)
            return
        if found.how == "provider" and found.model == "*" and name != search.asked:
            self._as_asked(found.provider, search)
            return
        if found.how == "provider":
            search.steps.append(f"{found.provider} is asked for {found.model[:200]}")
            search.groups.append({(found.provider, found.model): 1.0})
            return
        destinations = self._models[found.key]
        shown = str(destinations)
        if found.how == "unmapped":
            family = (known := claude(name)) and known.family
            search.steps.append(f"{family or name[:200]} is not mapped and goes where {found.key} goes: {shown}")
            search.notes.append(Note("changed", "family.unmapped", "model"))
        else:
            reason = {"exact": "", "pattern": f" fits {found.key} and", "family": f" is of the family {found.key} and"}
            search.steps.append(f"{name[:200]}{reason[found.how]} goes to {shown}")
        self._lead(destinations, search)

    def _as_asked(self, provider: str, search: _Search) -> None:
        """A destination `provider/*`: the name as it was asked for, unless it names a provider that is not there."""
        if search.asked.partition("/")[0] not in presets():
            search.steps.append(f"{provider} is asked for {search.asked[:200]}")
            search.groups.append({(provider, search.asked): 1.0})

    def _unmapped(self, name: str, search: _Search) -> None:
        """A name that `models:` says nothing about: a family, or a bare name."""
        known = claude(name)
        native = self._of_claude()
        if known is not None and native is not None:
            self._native(name, native, search)
            return
        if known is not None:
            self._family(name, known.family, search)
            return
        offering = [each for each in self._providers.values() if each.ready and name in _offered(each)]
        if len(offering) == 1:
            search.steps.append(f"{name[:200]} is offered by {offering[0].name} alone")
            search.groups.append({(offering[0].name, name): 1.0})
        elif offering:
            choices = " or ".join(f"{each.name}/{name}" for each in offering)
            raise ApiError("not_found", f"model: {name[:200]} is offered by several providers. Ask for {choices}.")

    def _of_claude(self, *, any_language: bool = False) -> Provider | None:
        """The first ready provider of Claude that is usually asked in Messages; with `any_language` others that have
        Claude under known names count too, and one that is not ready rather than none.
        """
        found = [each for each in self._providers.values() if each.claude and each.facts_of is None]
        found.sort(key=lambda each: each.template.dialect != "anthropic")
        if not any_language:
            found = [each for each in found if each.ready and each.template.dialect == "anthropic"]
        return next((each for each in found if each.ready), found[0] if found else None)

    def _pass_through(self, search: _Search) -> None:
        provider = self._of_claude(any_language=True)
        if claude(search.asked) is None or provider is None:
            search.steps.append(f"{search.asked[:200]} is not one of Claude's names, so it is looked up as if unmapped")
            self._unmapped(search.asked, search)
        else:
            self._native(search.asked, provider, search)

    def _native(self, name: str, provider: Provider, search: _Search) -> None:
        """Claude's own name goes to a provider of Claude as it is; a family's word means its current model."""
        form = provider.claude or "anthropic"
        word = name.lower()
        search.notes = [note for note in search.notes if note.code != "family.unmapped"]
        if word in FAMILIES:
            current = (*provider.models, *(platforms.named(form, each) for each in presets()["anthropic"].models))
            model = next(each for each in current if (known := claude(each)) and known.family == word)
            search.steps.append(f"{word} means {model} at {provider.name}")
        else:
            model = platforms.named(form, name)
            search.steps.append(f"{name[:200]} goes to {provider.name} under its own name")
        search.groups.append({(provider.name, model): 1.0})

    def _family(self, name: str, family: str, search: _Search) -> None:
        """The first active provider's big and small models serve the families."""
        serving = [provider for provider in self._providers.values() if provider.big or provider.small]
        provider = next((each for each in serving if each.ready), serving[0] if serving else None)
        if provider is None:
            return
        size, model = "big", provider.big or provider.small
        if family in SMALL_FAMILIES and provider.small:
            size, model = "small", provider.small
        if not family:
            search.notes.append(Note("changed", "family.unmapped", "model"))
        what = f"is of the family {family}" if family else "is of no known family"
        search.steps.append(f"{name[:200]} {what} and goes to the {size} model of {provider.name}, {model}")
        search.groups.append({(provider.name, model or ""): 1.0})

    def _target(self, provider: str, model: str) -> Target:
        return target(self._providers[provider], model)

    def _unknown(self, name: str) -> ApiError:
        """A 404 that says what exists."""
        if claude(name) is not None:
            text = "No model is set for the Claude families. Add `models: {sonnet: provider/model}` to dragoman.yaml."
            return ApiError("not_found", f"model: {name[:200]}. {text}")
        provider, slash, _ = name.partition("/")
        if slash and provider in presets():
            keys = " or ".join(presets()[provider].keys)
            how = f"Set {keys}, or add" if keys else "Add"
            if presets()[provider].addressing == "sidecar":
                how = f"Run `dragoman install {provider}`, and add"
            text = (
                f"The provider {provider} is not active. {how} `{provider}: {{}}` under `providers:` in dragoman.yaml."
            )
            return ApiError("not_found", f"model: {name[:200]}. {text}")
        names = list(self._names())
        more = f" and {len(names) - SHOWN_LIMIT} more" if len(names) > SHOWN_LIMIT else ""
        known = f"{', '.join(names[:SHOWN_LIMIT])}{more}" if names else "nothing; no provider is ready"
        hint = did_you_mean(name, names)
        return ApiError("not_found", f"model: {name[:200]} is not known here.{hint} There is: {known}.")

    def _names(self) -> Iterable[str]:
        """Names that callers can use, and providers with `/*` for their other models."""
        ready = [provider for provider in self._providers.values() if provider.ready]
        yield from self._models
        if any(provider.big or provider.small for provider in ready):
            yield from (family for family in FAMILIES if family not in self._models)
        for provider in ready:
            yield from (f"{provider.name}/{model}" for model in provider.models)
            yield f"{provider.name}/*"

    @staticmethod
    def _not_ready(providers: Sequence[Provider]) -> ApiError:
        reasons = "; ".join(dict.fromkeys(f"{provider.name}: {provider.why}" for provider in providers))
        message = f"No provider for this model is ready. {reasons}. Then restart dragoman."
        # Not worth a retry, which clients make of a 401 otherwise.
        return ApiError("upstream_authentication", message, should_retry=False)


def _offered(provider: Provider) -> tuple[str | None, ...]:
    return (*provider.models, provider.big, provider.small)


def _listed(identity: str, name: str, served: Target) -> Listed:
    place = f"{served.provider}/{served.model}"
    display = place if name in (place, served.model) else f"{name} ({place})"
    facts = served.facts
    return Listed(identity, display, UNKNOWN_DATE, facts.context, facts.max_output)
