"""Which targets and keys are worth asking now. Values and `now` in, values out; `Health` keeps the values.

Health chooses, and never refuses: where nothing better is left, a target that rests is asked all the same. So one
provider alone behaves as if there were no health at all.

Three things fall ill, each by its own errors:

- a *target* (provider and model): the server fails, or cannot be reached. After some failures in a row it rests, then
  one request may try it, and its outcome decides for the others (a circuit breaker, half open).
- a key at a target: a rate limit, for as long as the upstream says.
- a *key*: refused, or nothing left on its account. It is not used until the configuration changes. A 403 may be about
  one prompt that a provider's moderation did not like, so it takes some in a row, and counts for one model only.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from msgspec import Struct, structs

from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError

FAILURES: Final = 5  # in a row, after which a target rests
FIRST_REST: Final = 5.0  # seconds; each further failure doubles it
LONGEST_REST: Final = 20.0  # so that traffic is back within 30 s of a recovery
TRIAL: Final = 30.0  # seconds that one request has to try a target for all; then another one may
FIRST_PARK: Final = 2.0  # seconds, after a rate limit that names no time; each further one doubles it
LONGEST_PARK: Final = 60.0
FORBIDDEN: Final = 3  # answers 403 in a row, after which a key is not used for a model
LONGEST_TOLD: Final = 3600.0  # seconds of an upstream's own `retry-after` that are believed
REMEMBERED: Final = 4096  # places; callers choose models

OF_TARGET: Final = frozenset(
    ("upstream_failed", "overloaded", "unreachable", "timeout", "bad_answer", "truncated", "conflict")
)
"""Kinds of errors that are about the server, and that another key would meet too."""

OF_KEY: Final = frozenset(("rate_limit", "upstream_authentication", "billing", "permission"))
"""Kinds that another key may not meet."""

Place = tuple[str | None, ...]  # what it is, and its names: models and keys may be called alike


class Trouble(Struct, frozen=True):
    """What is known of an ill place."""

    failures: int  # in a row
    until: float  # when it may be asked again; inf: not before the configuration changes
    trial: bool = False  # one request is trying it, until `until`


class Change(Struct, frozen=True):
    """What people should know: a key or a target that rests, or serves again."""

    target: str  # "provider/model"
    key: str | None  # the name of the key that it is about; None: it is about the target
    seconds: float  # that it rests; inf: until the configuration changes; 0: it serves again
    error: ApiError | None = None  # why


def after_failure(known: Trouble | None, now: float) -> Trouble:
    """A breaker: it counts, then opens; what fails on trial rests longer."""
    failures = 1 if known is None else known.failures + 1
    if failures < FAILURES:
        return Trouble(failures, 0.0)
    return Trouble(failures, now + min(FIRST_REST * 2 ** min(failures - FAILURES, 10), LONGEST_REST))


def after_rate_limit(known: Trouble | None, retry_after: float | None, now: float) -> Trouble:
    failures = 1 if known is None else known.failures + 1
    if retry_after is None:
        seconds = min(FIRST_PARK * 2 ** min(failures - 1, 10), LONGEST_PARK)
    else:
        seconds = min(retry_after, LONGEST_TOLD)
    return Trouble(failures, now + seconds)


def after_forbidden(known: Trouble | None) -> Trouble:
    failures = 1 if known is None else known.failures + 1
    return Trouble(failures, 0.0 if failures < FORBIDDEN else inf)


def rests(known: Trouble, now: float) -> bool:
    """Whether others are better asked now."""
    return known.until > now


class Health:
    """Remembers the ill ones of one process. While all are well, a question costs one look at an empty table."""

    def __init__(self) -> None:
        self.troubles: dict[Place, Trouble] = {}  # empty: nobody need ask

    def next(self, slots: Sequence[Target], now: float) -> int:
        """The place among `slots`, which is not empty, of the one to be asked: the first that is well.

        Else the target that rests least long; else the key that does.
        """
        if not self.troubles:
            return 0
        rest = [self._rest(slot, now) for slot in slots]
        return rest.index(min(rest))

    def usable(self, slot: Target, now: float) -> bool:
        """Whether its key may be used now. Its target may rest all the same."""
        return not self.troubles or not self._rest(slot, now)[0]

    def resting(self, slot: Target, now: float) -> bool:
        """Whether others are better asked now."""
        return bool(self.troubles) and any(self._rest(slot, now))

    def soonest(self, slots: Sequence[Target], now: float) -> float | None:
        """Seconds until one of the slots may be asked again; None when one is well, or none ever will be."""
        if not self.troubles:
            return None
        first = min((max(self._rest(slot, now)) for slot in slots), default=0.0)
        return first if 0 < first < inf else None

    def begin(self, slot: Target, now: float) -> bool:
        """A request asks this one. True when it is the one that tries it for all: it must tell how that ended."""
        known = self.troubles.get(_target(slot)) if self.troubles else None
        if known is None or known.failures < FAILURES or rests(known, now):
            return False
        self.troubles[_target(slot)] = structs.replace(known, until=now + TRIAL, trial=True)
        return True

    def leave(self, slot: Target, now: float) -> None:
        """The request that was to try it is gone without an outcome: another one may."""
        known = self.troubles.get(_target(slot))
        if known is not None and known.trial:
            self.troubles[_target(slot)] = structs.replace(known, until=now, trial=False)

    def succeeded(self, slot: Target, *, whole: bool) -> list[Change]:
        """It answers, and all is well again. Until the answer is `whole`, one more failure makes its target rest."""
        if not self.troubles:
            return []
        changes = []
        for place in (_target(slot), _key_at(slot), _key(slot)):
            known = self.troubles.pop(place, None)
            if known is None:
                continue
            if known.until:
                changes.append(Change(_name(slot), None if place == _target(slot) else slot.key, 0.0))
            if place == _target(slot) and not whole:
                self.troubles[place] = Trouble(min(known.failures, FAILURES - 1), 0.0)
        return changes

    def failed(self, slot: Target, error: ApiError, now: float) -> list[Change]:
        """What follows from an error of this one, if anything does."""
        if error.kind in OF_TARGET:
            known = self.troubles.get(_target(slot))
            found = self._keep(_target(slot), after_failure(known, now))
            told = found.until > now and (known is None or not known.until)
            return [Change(_name(slot), None, found.until - now, error)] if told else []
        self.troubles.pop(_target(slot), None)  # an answer that is an error all the same: the server is there
        if error.kind not in OF_KEY or error.upstream_status is None or slot.auth == "caller":
            return []  # one caller's key says nothing about another's
        place = _key_at(slot) if error.kind in ("rate_limit", "permission") else _key(slot)
        known = self.troubles.get(place)
        if error.kind == "rate_limit":
            found = after_rate_limit(known, error.retry_after, now)
        else:
            found = after_forbidden(known) if error.kind == "permission" else Trouble(1, inf)
        self._keep(place, found)
        told = found.until > now and (known is None or not rests(known, now))
        return [Change(_name(slot), slot.key, found.until - now, error)] if told else []

    def _rest(self, slot: Target, now: float) -> tuple[float, float]:
        """Seconds that its key rests, and that the target does."""
        key = max(self._until(_key(slot)), self._until(_key_at(slot)))
        return max(key - now, 0.0), max(self._until(_target(slot)) - now, 0.0)

    def _until(self, place: Place) -> float:
        known = self.troubles.get(place)
        return 0.0 if known is None else known.until

    def _keep(self, place: Place, trouble: Trouble) -> Trouble:
        if place not in self.troubles and len(self.troubles) >= REMEMBERED:
            del self.troubles[next(iter(self.troubles))]
        self.troubles[place] = trouble
        return trouble


def words(change: Change) -> str:
    """A change, for the log."""
    if not change.seconds:
        return f"{change.target} serves again."
    why = f" {change.error.message}" if change.error is not None else ""
    if change.key is None:
        return f"{change.target} rests for {change.seconds:.0f} s, and others are asked first.{why}"
    if change.seconds < inf:
        return f"The key {change.key} rests for {change.seconds:.0f} s at {change.target}.{why}"
    text = "It is used only when nothing else is left. Set another one, then: kill -HUP, or start again."
    return f"The key {change.key} was refused by {change.target}. {text}{why}"


def same_target(one: Target, other: Target) -> bool:
    """Whether they differ in their key only."""
    return (one.provider, one.model) == (other.provider, other.model)


def _target(slot: Target) -> Place:
    return "target", slot.provider, slot.model


def _key_at(slot: Target) -> Place:
    return "key at", slot.provider, slot.model, slot.key


def _key(slot: Target) -> Place:
    return "key", slot.provider, slot.key


def _name(slot: Target) -> str:
    return f"{slot.provider}/{slot.model}"
