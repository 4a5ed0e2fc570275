"""What to do after a failed attempt: values in, values out. Who is asked next is a matter of `health`."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from dragoman.messages.errors import ApiError

FIRST_PAUSE: Final = 0.5  # seconds before the first retry; each further one doubles it
LONGEST_PAUSE: Final = 8.0
PATIENCE: Final = (
    10.0  # seconds of the upstream's own `retry-after` that are waited out; clients know better than longer
)
BUDGET: Final = 60.0  # seconds after which nothing is tried again: the caller has its own patience

# After these another target may do better. The caller's own mistakes are not among them, nor is an overflow: clients
# answer that one by compacting. Most telling first: when every target failed, the first one found here is told.
MOVES_ON: Final = (
    "rate_limit",
    "billing",
    "upstream_authentication",
    "permission",
    "not_found",
    "conflict",
    "overloaded",
    "busy",
    "upstream_failed",
    "bad_answer",
    "truncated",
    "timeout",
    "unsupported",
    "unreachable",
)


QUICK: Final = 1  # how often a target is tried again that others could stand in for
AT_ONCE: Final = frozenset(("rate_limit", "unreachable", "timeout"))
"""Others stand in at once after these: waiting brings nothing soon, or took long already."""


class Again(Struct, frozen=True):
    """The same call, after a pause of `after` seconds."""

    after: float


class Mend(Struct, frozen=True):
    """The same target, with the repair that its dialect offers."""


class Next(Struct, frozen=True):
    """Another slot of the route."""


class Stop(Struct, frozen=True):
    """Tell the caller."""


Decision = Again | Mend | Next | Stop


def decide(
    error: ApiError,
    *,
    retried: int,
    retries: int,
    elapsed: float,
    mendable: bool,
    others: bool,
    overflow: bool = False,
    resting: bool = False,
) -> Decision:
    """What follows an attempt that failed with `error`.

    `retried`: how often this slot was tried again; `retries`: how often it may be; `elapsed`: seconds since the request
    came; `mendable`: whether there is a repair that was not used yet; `others`: whether another slot is well and may be
    asked; `overflow`: whether there is one for conversations that are too long; `resting`: whether this slot is one
    that should be left alone now.
    """
    if mendable:
        return Mend()
    if error.kind == "context_overflow" and overflow:
        return Next()
    others = others and error.kind in MOVES_ON
    if others:
        retries = 0 if error.kind in AT_ONCE or resting else min(retries, QUICK)
    if error.retryable and retried < retries:
        pause = pause_before(retried, error.retry_after)
        if pause is not None and elapsed + pause < BUDGET:
            return Again(pause)
    return Next() if others else Stop()


def pause_before(retried: int, retry_after: float | None) -> float | None:
    """Seconds to wait; None when the upstream asks for more than `PATIENCE`."""
    if retry_after is not None and retry_after > PATIENCE:
        return None
    pause: float = min(FIRST_PAUSE * 2**retried, LONGEST_PAUSE)
    return max(pause, retry_after or 0.0)


def most_telling(errors: Sequence[ApiError]) -> ApiError:
    """Of one error per target: the caller's own mistake, else the most specific failure, else the first."""
    return min(errors, key=lambda error: MOVES_ON.index(error.kind) if error.kind in MOVES_ON else -1)
