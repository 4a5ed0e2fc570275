"""Google's tokens over real sockets: a token endpoint, a metadata server, a proxy that must not see the latter."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import scripted
from clients.scripted_vertex import Account as Person
from clients.scripted_vertex import Accounts, issuing
from dragoman import config
from dragoman.dialects.contract import Target
from dragoman.gateway.signing import Signing
from dragoman.messages.errors import ApiError
from dragoman.providers import Credentials
from dragoman.upstream.client import Upstream

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Metadata(scripted.Handler):
    """The metadata server of a machine whose service account has one token."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:  # noqa: N802 - the name in the base class
        self.asked.append((self.path, self.headers.get("metadata-flavor")))
        self.whole(200, {}, {"access_token": f"ya29.machine-{len(self.asked)}", "expires_in": 3599})


@contextmanager
def metadata() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    asked: list[tuple[str, str | None]] = []
    with scripted.listening(type("Handler", (Metadata,), {"asked": asked})) as url:
        yield url.removeprefix("http://"), asked


class House:
    """What the application makes of a configuration, as far as calls are signed."""

    def __init__(self, folder: Path, providers: Any, **environ: str) -> None:
        (folder / "dragoman.yaml").write_text(json.dumps({"providers": providers}), "utf-8")
        self.settings, secrets = config.load(path=None, environ=environ, folder=folder, home=folder)
        self.upstream = Upstream(connect_timeout=5, proxies=self.settings.proxies, no_proxy=self.settings.no_proxy)
        self.clock = Clock()
        self.credentials = Credentials(secrets, self.settings.identities)
        self.signing = Signing(self.credentials, self.upstream, self.clock)

    def target(self, provider: str) -> Target:
        return self.settings.providers[provider].template

    async def signed(self, provider: str) -> str:
        """The token of the next call."""
        target = self.target(provider)
        headers = self.signing.headers(target)
        if headers is None:
            headers = await self.signing.fetch(target)
        return dict(headers)["authorization"].removeprefix("Bearer ")


def robot(folder: Path, person: Person, accounts: Accounts) -> str:
    path = folder / f"{person.project}.json"
    path.write_text(json.dumps(person.service_account(accounts.token_url)), "utf-8")
    return str(path)


@pytest.mark.failure(55)
async def test_one_token_for_all_until_shortly_before_its_end(tmp_path: Path) -> None:
    one = Person("one")
    with issuing(Accounts(one)) as accounts:
        file = robot(tmp_path, one, accounts)
        house = House(tmp_path, {
            "vertex": {"credentials_file": file},
            "europe": {"preset": "vertex", "location": "eu", "credentials_file": file},
        })  # fmt: skip
        tokens = await asyncio.gather(*(house.signed(name) for name in ("vertex", "europe") * 5))
        assert len(set(tokens)) == len(accounts.asked) == 1
        owner = accounts.owner(tokens[0])
        assert owner is not None
        assert owner.project == "one"
        house.clock.now += 3200
        assert await house.signed("vertex") == tokens[0]
        house.clock.now += 200  # 199 s before its end
        assert await house.signed("vertex") != tokens[0]
        assert len(accounts.asked) == 2
        await house.upstream.close()


@pytest.mark.failure(55)
async def test_a_refused_token_is_replaced_and_a_newer_one_kept(tmp_path: Path) -> None:
    one = Person("one")
    with issuing(Accounts(one)) as accounts:
        house = House(tmp_path, {"vertex": {"credentials_file": robot(tmp_path, one, accounts)}})
        target = house.target("vertex")
        old = await house.signing.fetch(target)
        assert house.signing.refused(target, old)
        newer = await house.signed("vertex")
        assert house.signing.refused(target, old)
        assert await house.signed("vertex") == newer
        await house.upstream.close()


@pytest.mark.failure(55)
async def test_two_projects_never_share_a_token(tmp_path: Path) -> None:
    one, two = Person("one"), Person("two")
    with issuing(Accounts(one, two)) as accounts:
        files = [robot(tmp_path, each, accounts) for each in (one, two)]
        house = House(tmp_path, {
            "vertex": {"credentials_file": files[0]},
            "other": {"preset": "vertex", "credentials_file": files[1]},
            "crossed": {"preset": "vertex", "credentials_file": files[0], "project": "two"},
        })  # fmt: skip
        tokens = {name: await house.signed(name) for name in ("vertex", "other", "crossed")}
        assert len(set(tokens.values())) == 3
        owners = [accounts.owner(token) for token in tokens.values()]
        assert owners == [one, two, one]
        await house.upstream.close()


@pytest.mark.failure(136)
async def test_a_refusal_tells_what_to_do_and_no_secret(tmp_path: Path) -> None:
    one, stranger = Person("one"), Person("one")
    with issuing(Accounts(one)) as accounts:
        house = House(tmp_path, {"vertex": {"credentials_file": robot(tmp_path, stranger, accounts)}})
        with pytest.raises(ApiError, match=r"invalid_grant: Invalid JWT Signature\. Check that the key") as caught:
            await house.signed("vertex")
        assert "PRIVATE" not in caught.value.message
        robot(tmp_path, one, accounts)  # it is mended, and nothing is restarted
        assert accounts.owner(await house.signed("vertex")) is one
        await house.upstream.close()


async def test_the_metadata_server_is_asked_without_a_proxy(tmp_path: Path) -> None:
    proxy = "http://127.0.0.1:1"
    with metadata() as (host, asked):
        house = House(
            tmp_path, {"vertex": {"project": "p"}}, GCE_METADATA_HOST=host, HTTP_PROXY=proxy, HTTPS_PROXY=proxy
        )
        assert await house.signed("vertex") == "ya29.machine-1"
        assert await house.signed("vertex") == "ya29.machine-1"
        house.clock.now += 3400
        assert await house.signed("vertex") == "ya29.machine-2"
        path, flavor = asked[0]
        assert path.startswith("/computeMetadata/v1/instance/service-accounts/default/token?scopes=")
        assert flavor == "Google"
        await house.upstream.close()


async def test_no_credentials_at_all(tmp_path: Path) -> None:
    house = House(tmp_path, {"vertex": {"project": "p"}}, GCE_METADATA_HOST="127.0.0.1:1")
    with pytest.raises(ApiError, match="Run `gcloud auth application-default login`") as caught:
        await house.signed("vertex")
    assert caught.value.kind == "upstream_authentication"
    await house.upstream.close()
