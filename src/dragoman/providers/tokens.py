"""What a flow that fetches a token says: what is to be asked, what came back, and the token that was found.

Nothing is sent from here: a flow is a generator, as in httpx's `_auth.py`. It yields what is to be asked, `gateway`
asks it through `upstream`, and sends the answer, or throws the ApiError, back into the flow.
"""

from collections.abc import Callable, Generator, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman.messages.errors import ApiError

EARLY = 300.0  # seconds before its end in which a token is not used for new calls

Headers = Sequence[tuple[str, str]]


class TokenCall(Struct, frozen=True):
    """One HTTP request for a token. Its body may hold a secret, so it is never shown."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"TokenCall({self.method} {self.url.partition('?')[0]})"


class TokenAnswer(Struct, frozen=True):
    """What came back. Its body may hold a token, so it is never shown."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"TokenAnswer({self.status})"


Send = Callable[[TokenCall], TokenAnswer]
"""Asks, and waits for the answer: for threads only. Raises ApiError."""


class TokenTask(Struct, frozen=True):
    """Work of a library that blocks: run it in a thread, and send back what it returns. Raises ApiError.

    `run` gets a `Send`, by which the library asks what it needs: proxies, certificates and timeouts hold there too.
    """

    run: Callable[[Send], TokenAnswer]


class Token(Struct, frozen=True):
    """A token, the seconds for which it may be used, and headers that go along with it."""

    text: str
    seconds: float
    further: Headers = ()

    def __repr__(self) -> str:
        return f"Token({self.seconds} s)"


Flow = Generator[TokenCall | TokenTask, TokenAnswer, None]
Fetch = Generator[TokenCall | TokenTask, TokenAnswer, Token]


def sendable(token: str) -> bool:
    """Whether this is a token, and can stand in a header."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def usable(expires_in: float) -> float:
    """Seconds for which a token that lives so long is used: one with less than ten minutes for half its life."""
    return max(expires_in - EARLY, expires_in / 2, 0.0)


def shown(text: str) -> str:
    """The first line of what a server said, short enough for an error."""
    return text.strip().partition("\n")[0].strip()[:200].rstrip(".")


def for_now(who: str, provider: str, status: int) -> ApiError:
    """A fault that passes."""
    message = f"{who} gave no token for the provider {provider} for now (status {status}). Try again."
    return ApiError("upstream_failed", message, upstream_status=status)


def safe(url: str) -> bool:
    """Whether a secret may go there: over TLS, or to this machine."""
    try:
        parts = urlsplit(url)
        name = parts.hostname
    except ValueError:
        return False
    return bool(name) and (
        parts.scheme == "https" or (parts.scheme == "http" and name in ("127.0.0.1", "localhost", "::1"))
    )
