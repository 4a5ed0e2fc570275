"""The request header `a2o-endpoint`: the caller chooses the upstream of this request, and brings the key for it."""

from collections.abc import Mapping, Sequence

from dragoman.messages.errors import ApiError
from dragoman.routing.endpoints import Endpoints
from dragoman.routing.route import Route
from dragoman.server.messages import Credentials

_NO_KEY = (
    "A request with `a2o-endpoint` is made with your own key of that provider, and this one has none. Send the key as "
    "`Authorization: Bearer` (ANTHROPIC_AUTH_TOKEN in Claude Code) or `x-api-key`; the token of this gateway, if it "
    "has one, as `x-dragoman-token` (ANTHROPIC_CUSTOM_HEADERS)."
)


class OwnEndpoint:
    """Where such a request goes, and the caller's credentials for it. Ours are no part of this."""

    def __init__(self, endpoints: Endpoints, credentials: Credentials) -> None:
        """`credentials`: the headers with the caller's own key, without a token of this gateway."""
        self._endpoints = endpoints
        self._credentials = credentials

    def __call__(
        self, endpoint: bytes, headers: Mapping[bytes, bytes], model: str
    ) -> tuple[Route, Sequence[tuple[str, str]]]:
        """`endpoint`: the header's value. Raises ApiError."""
        route = self._endpoints.route(endpoint.decode("latin-1"), model)
        caller = self._credentials(headers)
        if not caller:
            raise ApiError("authentication", _NO_KEY, should_retry=False)
        return route, caller
