"""How a call is signed. The key is looked up here, at the last moment, and goes nowhere but into the header."""

from typing import Protocol

from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError


class Keys(Protocol):
    """Keys by name, e.g. `config.Secrets`."""

    def __getitem__(self, name: str) -> str: ...

    def __contains__(self, name: str) -> bool: ...


def fault(key: str) -> str | None:
    """Why `key` cannot be sent in a header, without quoting it; None when it can."""
    if not key:
        return "is empty"
    if key != key.strip():
        return "begins or ends with white space or a line break"
    if not (key.isascii() and key.isprintable()):
        return "has a line break or a character that no key has"
    if " " in key:
        return "has a space in it"
    return None


def headers(target: Target, keys: Keys) -> list[tuple[str, str]]:
    """The headers that sign a call to `target`. Raises ApiError("upstream_authentication")."""
    if target.auth == "none" or target.key is None:
        return []
    if target.key not in keys:
        raise _unusable(target, "is not set")
    key = keys[target.key]
    if wrong := fault(key):
        raise _unusable(target, wrong)
    if target.auth == "bearer":
        return [("authorization", f"Bearer {key}")]
    return [(target.auth, key)]


def _unusable(target: Target, why: str) -> ApiError:
    message = f"The key {target.key} of the provider {target.provider} {why}. Set it and restart dragoman."
    return ApiError("upstream_authentication", message, should_retry=False)
