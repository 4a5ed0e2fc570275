"""How a call is signed. A key is looked up here, at the last moment, and goes nowhere but into the header.

Tokens of Microsoft Entra ID and of Google are fetched, by flows that `gateway` runs; see tokens.py.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.providers import entra, google
from dragoman.providers.entra import Identity
from dragoman.providers.google import Account
from dragoman.providers.tokens import Flow, Headers

Owner = Identity | Account
"""Whose tokens they are."""

_FETCHED: dict[str, tuple[type[Struct], str, str]] = {
    "entra": (Identity, "has no identity of Entra ID", "`entra:`"),
    "google": (Account, "has no account of Google", "`credentials_file:`"),
}


class Keys(Protocol):
    """Keys by name, e.g. `config.Secrets`."""

    def __getitem__(self, name: str) -> str: ...

    def __contains__(self, name: str) -> bool: ...


class _Token(Struct, frozen=True):
    """A fetched token, as the headers that carry it."""

    headers: Headers
    until: float  # when the next one is fetched, by the caller's clock

    def __repr__(self) -> str:
        return f"_Token(until={self.until})"


class Credentials:
    """Signs calls. `owners`: who asks for the tokens of each provider whose targets have `auth` "entra" or "google".

    Fetched tokens are kept in here, one for each owner: two providers share one only when they are configured with the
    same identity, for the same thing.
    """

    def __init__(self, keys: Keys, owners: Mapping[str, Owner]) -> None:
        self._keys = keys
        self._owners = dict(owners)
        self._signed: dict[tuple[str | None, str], Headers] = {}
        self._tokens: dict[Owner, _Token] = {}
        self._loaded: dict[Account, Any] = {}  # credentials as google-auth keeps them

    def headers(self, target: Target, now: float) -> Headers | None:
        """The headers that sign a call to `target`; None when a token must be fetched first, by `flow`.

        `now` is in seconds, of any clock that runs evenly. Raises ApiError("upstream_authentication") for a key that is
        missing or no key.
        """
        if target.auth in _FETCHED:
            token = self._tokens.get(self.owner(target))
            return token.headers if token is not None and now < token.until else None
        place = (target.key, target.auth)
        signed = self._signed.get(place)
        if signed is None:
            signed = self._signed[place] = headers(target, self._keys)
        return signed

    def flow(self, target: Target, now: float) -> Flow:
        """Fetch a token for `target`. Afterwards `headers` has it.

        Raises ApiError("upstream_authentication") that says what to do; ApiError("upstream_failed") when the identity
        provider fails for now.
        """
        if target.auth not in _FETCHED:
            return
        owner = self.owner(target)
        if isinstance(owner, Account):
            token = yield from google.fetch(owner, self._loaded, target.provider)
        else:
            secret = None if owner.secret is None else self._secret(target, owner.secret)
            token = yield from entra.fetch(owner, secret, target.provider)
        signed = (("authorization", f"Bearer {token.text}"), *token.further)
        self._tokens[owner] = _Token(signed, now + token.seconds)

    def refused(self, target: Target, sent: Headers = ()) -> bool:
        """The upstream said 401: forget a fetched token. True when one more try makes sense.

        `sent`: the headers that were refused; a token that was fetched since then is kept.
        """
        if target.auth not in _FETCHED:
            return False
        owner = self.owner(target)
        token = self._tokens.get(owner)
        if token is not None and (not sent or token.headers[0] in sent):
            del self._tokens[owner]
        return True

    def owner(self, target: Target) -> Owner:
        """Whose token signs calls to `target`, which has one. Raises ApiError("upstream_authentication")."""
        kind, missing, setting = _FETCHED[target.auth]
        owner = self._owners.get(target.provider)
        if owner is None or not isinstance(owner, kind):
            raise _unusable(target, missing, f"{setting} of the provider")
        return owner

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self._owners))})"

    def _secret(self, target: Target, name: str) -> str:
        if name not in self._keys:
            raise _unusable(target, "is not set", name)
        return self._keys[name]


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


def headers(target: Target, keys: Keys) -> Headers:
    """The headers that sign a call to `target` by a key. Raises ApiError("upstream_authentication")."""
    if target.auth == "none" or target.key is None:
        return ()
    if target.key not in keys:
        raise _unusable(target, "is not set", target.key)
    key = keys[target.key]
    if wrong := fault(key):
        raise _unusable(target, wrong, target.key)
    if target.auth == "bearer":
        return (("authorization", f"Bearer {key}"),)
    return ((target.auth, key),)


def presented(target: Target, caller: Headers) -> Headers:
    """The caller's own credentials as the upstream takes them: in the header that `target.caller_as` names.

    `caller`: `authorization` and `x-api-key` as they came. Of two keys the one of `authorization` counts, as clients of
    other gateways send it. Raises ApiError("authentication") for what is no key.
    """
    if target.caller_as is None:
        return caller
    name, value = caller[0]
    scheme, space, key = value.partition(" ")
    if name == "authorization" and space and scheme.lower() != "bearer":
        text = f"{target.provider} takes a key: send it as `Authorization: Bearer` or `x-api-key`."
        raise ApiError("authentication", text, should_retry=False)
    key = key.strip() if name == "authorization" and space else value
    if wrong := fault(key):
        raise ApiError("authentication", f"The key that the request has {wrong}.", should_retry=False)
    return (("authorization", f"Bearer {key}"),) if target.caller_as == "bearer" else ((target.caller_as, key),)


def _unusable(target: Target, why: str, key: str) -> ApiError:
    message = f"The key {key} of the provider {target.provider} {why}. Set it and restart dragoman."
    return ApiError("upstream_authentication", message, should_retry=False)
