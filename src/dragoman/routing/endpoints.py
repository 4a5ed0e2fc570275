"""The upstream that a caller chose for one request, by the header `a2o-endpoint: https://api.cerebras.ai/v1`.

A caller who may choose any host makes the gateway call what only the gateway can reach, and hands keys to whoever owns
that host. So a host must be that of a preset, or be listed in `server.endpoints`; the caller's own key signs the call,
never one of ours; and a preset's host is called only at an address of the internet, which `upstream` sees to.
"""

from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from dragoman.config.endpoints import Address, address, chosen
from dragoman.messages.errors import ApiError
from dragoman.providers import Preset, presets, target
from dragoman.routing.route import Route

CACHE_LIMIT = 512  # routes; callers choose addresses and models
LONGEST = 1000  # characters of an address

_EXAMPLE = "Write it as `a2o-endpoint: https://api.cerebras.ai/v1`."

Home = tuple[str, str]  # preset, address of one of its languages


class Endpoints:
    """Decides by a table of hosts. `listed`: `server.endpoints`. `strict`: a `lost` note becomes a 400."""

    def __init__(self, listed: Iterable[str] | Literal["none"] = (), *, strict: bool = False) -> None:
        self._closed = listed == "none"
        self._listed = frozenset(() if self._closed else (each.lower() for each in listed))
        self._strict = strict
        self._homes = homes(presets())
        self._open = frozenset(place for preset in presets().values() for place in public_hosts(preset))
        self._routes: dict[tuple[str, str], Route] = {}

    def route(self, endpoint: str, model: str) -> Route:
        """`model`, as it is, at `endpoint`.

        Raises ApiError: "invalid_request" for what is no address, "permission" for a host that is not allowed.
        """
        asked = endpoint, model
        known = self._routes.get(asked)
        if known is None:
            known = self._resolved(endpoint, model)
            if len(self._routes) >= CACHE_LIMIT:
                del self._routes[next(iter(self._routes))]
            self._routes[asked] = known
        return known

    def _resolved(self, endpoint: str, model: str) -> Route:
        if self._closed:
            raise _refused("This gateway takes no `a2o-endpoint` header: server.endpoints is `none`.")
        found = _parts(endpoint)
        place, path = found.place, found.path
        listed = place in self._listed or f"{found.host}:{found.port}" in self._listed
        if not listed:
            self._check(found.scheme, place)
        row = self._row(place, f"https://{place}{path}")
        if row is not None and not path and "$" not in presets()[row].base_url:
            path = urlsplit(presets()[row].base_url).path
        provider = chosen(f"{found.scheme}://{place}{path}", row, public=not listed, strict=self._strict)
        steps = (f"a2o-endpoint leads to {place}, with the caller's own key",)
        return Route(requested=model, targets=(target(provider, model),), steps=steps)

    def _check(self, scheme: str, place: str) -> None:
        """Whether a host that is not listed may be called. Raises ApiError("permission")."""
        listing = f'add it in dragoman.yaml: `server: {{endpoints: ["{place}"]}}`'
        if place not in self._open:
            raise _refused(
                f"`a2o-endpoint` may not name {place}, which is no known provider's. To allow it, {listing}."
            )
        if scheme != "https":
            raise _refused(f"`a2o-endpoint` must begin with https:// for {place}. To allow http://, {listing}.")

    def _row(self, place: str, url: str) -> str | None:
        """The preset of the host; of several the one whose address has most in common with `url`."""
        rows = self._homes.get(place, ())

        def alike(home: Home) -> int:
            address = home[1]
            return len(address) if url == address or url.startswith(f"{address}/") else 0

        return max(rows, key=alike)[0] if rows else None


def homes(rows: Mapping[str, Preset]) -> dict[str, list[Home]]:
    """Host, and port where it is not the usual one -> the presets there. Addresses are told as if all were https."""
    found: dict[str, list[Home]] = {}
    for name, preset in rows.items():
        if preset.addressing not in ("plain", "host"):
            continue
        urls = [preset.base_url, *(each.base_url for each in preset.languages().values() if each.base_url)]
        for url in urls:
            parts = urlsplit(url)
            for place in dict.fromkeys((parts.netloc, *preset.hosts)):
                found.setdefault(place, []).append((name, f"https://{place}{parts.path}"))
    return found


def public_hosts(preset: Preset) -> tuple[str, ...]:
    """The hosts of a preset that callers may choose: those of the internet which the row itself names."""
    own = urlsplit(preset.base_url)
    fixed = preset.addressing in ("plain", "host") and not preset.local and own.scheme == "https"
    if not fixed or "$" in own.netloc:
        return ()
    return (own.netloc, *preset.hosts)


def _parts(endpoint: str) -> Address:
    """The address is not quoted: it may hold a key. Raises ApiError("invalid_request")."""
    found = address(endpoint.strip()) if len(endpoint) <= LONGEST else None
    if found is None:
        text = f"The header `a2o-endpoint` is no address, or has a user, a password, `?`, `#`, `%` or `..`. {_EXAMPLE}"
        raise ApiError("invalid_request", text)
    return found


def _refused(text: str) -> ApiError:
    return ApiError("permission", text, should_retry=False)
