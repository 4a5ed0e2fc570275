"""How a call is signed. A key is looked up here, at the last moment, and goes nowhere but into the header.

Tokens of Microsoft Entra ID are fetched. Nothing is sent from here: a flow is a generator, as in httpx's `_auth.py`. It
yields what is to be asked, `gateway` asks it through `upstream`, and sends the answer back into the flow.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from dragoman.dialects.contract import Target
from dragoman.messages.errors import ApiError
from dragoman.providers import entra
from dragoman.providers.entra import Identity

Headers = Sequence[tuple[str, str]]


class Keys(Protocol):
    """Keys by name, e.g. `config.Secrets`."""

    def __getitem__(self, name: str) -> str: ...

    def __contains__(self, name: str) -> bool: ...


class TokenCall(Struct, frozen=True):
    """One HTTP request for a token. Its body may hold a secret, so it is never shown."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"TokenCall({self.method} {self.url})"


class TokenAnswer(Struct, frozen=True):
    """What came back. Its body may hold a token, so it is never shown."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"TokenAnswer({self.status})"


class TokenTask(Struct, frozen=True):
    """Work of a library that blocks: run it in a thread, and send back what it returns. It raises nothing."""

    run: Callable[[], TokenAnswer]


Flow = Generator[TokenCall | TokenTask, TokenAnswer, None]


class _Token(Struct, frozen=True):
    """A fetched token, as the headers that carry it."""

    headers: Headers
    until: float  # when the next one is fetched, by the caller's clock

    def __repr__(self) -> str:
        return f"_Token(until={self.until})"


class Credentials:
    """Signs calls. `identities`: the identity of each provider whose targets have `auth` "entra", by its name.

    Fetched tokens are kept in here, one for each identity: two providers share one only when they are configured with
    the same identity for the same scope.
    """

    def __init__(self, keys: Keys, identities: Mapping[str, Identity]) -> None:
        self._keys = keys
        self._identities = dict(identities)
        self._signed: dict[tuple[str | None, str], Headers] = {}
        self._tokens: dict[Identity, _Token] = {}

    def headers(self, target: Target, now: float) -> Headers | None:
        """The headers that sign a call to `target`; None when a token must be fetched first, by `flow`.

        `now` is in seconds, of any clock that runs evenly. Raises ApiError("upstream_authentication") for a key that is
        missing or no key.
        """
        if target.auth == "entra":
            token = self._tokens.get(self._identity(target))
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
        if target.auth != "entra":
            return
        identity = self._identity(target)
        if identity.secret is None:
            answer = yield TokenTask(lambda: TokenAnswer(*entra.managed(identity)))
        else:
            secret = self._secret(target, identity.secret)
            answer = yield TokenCall("POST", identity.url, entra.HEADERS, entra.body(identity, secret))
        token = entra.token(answer.status, answer.body, identity, target.provider)
        signed = (("authorization", f"Bearer {token.text}"),)
        self._tokens[identity] = _Token(signed, now + token.seconds)

    def refused(self, target: Target, sent: Headers = ()) -> bool:
        """The upstream said 401: forget a fetched token. True when one more try makes sense.

        `sent`: the headers that were refused; a token that was fetched since then is kept.
        """
        if target.auth != "entra":
            return False
        identity = self._identity(target)
        token = self._tokens.get(identity)
        if token is not None and (not sent or token.headers[0] in sent):
            del self._tokens[identity]
        return True

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self._identities))})"

    def _identity(self, target: Target) -> Identity:
        identity = self._identities.get(target.provider)
        if identity is None:
            raise _unusable(target, "has no identity of Entra ID", "`entra:` of the provider")
        return identity

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


def _unusable(target: Target, why: str, key: str) -> ApiError:
    message = f"The key {key} of the provider {target.provider} {why}. Set it and restart dragoman."
    return ApiError("upstream_authentication", message, should_retry=False)
