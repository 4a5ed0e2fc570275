"""The way to sidecars: calls to their stand-in hosts go to where they listen, all others go on as they are."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from dragoman.messages.errors import ApiError
from dragoman.messages.pieces import Pieces
from dragoman.sidecar.child import Child
from dragoman.sidecar.environment import HOST

A_co = TypeVar("A_co", covariant=True)


class Sends(Protocol[A_co]):
    """`upstream.client.Upstream`, as far as it is used here."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> A_co: ...


class Beside(Generic[A_co]):
    """Sends calls as `upstream` does. `children`: provider -> the server that runs for it."""

    def __init__(self, upstream: Sends[A_co], children: Mapping[str, Child]) -> None:
        self._upstream = upstream
        self._children = {"http://" + HOST.format(name=name): child for name, child in children.items()}

    async def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces | AsyncIterator[bytes],
        *,
        public: bool = False,
    ) -> A_co:
        """Raises ApiError, for a server that does not start, too."""
        child = self._children.get("/".join(url.split("/", 3)[:3]))
        if child is not None:
            # Our calls come without a key. One with a key was led here by somebody who must not use ours.
            if any(name.lower() in ("authorization", "x-api-key", "api-key") for name, _ in headers):
                raise ApiError("permission", "Calls with a key of their own cannot go to a sidecar.")
            address = await child.address()
            url = address.origin + "/" + url.split("/", 3)[3]
            headers = [*headers, ("authorization", f"Bearer {address.key}")]
        return await self._upstream.send(method, url, headers, body, public=public)
