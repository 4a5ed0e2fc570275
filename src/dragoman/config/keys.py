"""How a provider's calls are signed: by a key, by a ready token, or as somebody whom Microsoft or Google knows."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from dragoman.config.addresses import Places
from dragoman.config.google import Found
from dragoman.config.settings import CALLER, Auth
from dragoman.providers import Account, Identity, Owner, Preset, azure, fault, google, safe

TENANT, CLIENT, SECRET = "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"
AUTHORITY = "AZURE_AUTHORITY_HOST"
QUOTA = "GOOGLE_CLOUD_QUOTA_PROJECT"
METADATA = "GCE_METADATA_HOST"
MADE = "dragoman"
"""What tokens begin with that dragoman makes, and what clients of an open gateway are told to send."""

NOT_A_KEY = "this gateway's own token, and no key"

SigningAuth = Auth | Literal["caller"]


class Signing(Struct, frozen=True):
    """How calls are signed, and whether and why that can be done. `key` is a name among the secrets."""

    auth: SigningAuth
    key: str | None
    ready: bool
    why: str
    identity: Owner | None = None
    keys: tuple[str, ...] = ()  # all of them, where there are several


class Signer:
    """Finds out how a provider's calls are signed, and puts what is secret among the secrets."""

    def __init__(self, variables: Mapping[str, str], secrets: dict[str, str], token: str = "") -> None:
        """`token`: this gateway's own."""
        self._variables = variables
        self._secrets = secrets
        self._token = token

    def given(self, names: Iterable[str]) -> str | None:
        """The first of `names` with a key in it. This gateway's own token, which clients send to it, is none."""
        return next((name for name in names if self._variables.get(name) and not self._is_own(name)), None)

    def _is_own(self, name: str) -> bool:
        value = self._variables.get(name, "")
        return bool(value) and (value in (self._token, MADE) or value.startswith(f"{MADE}-"))

    def signing(
        self, name: str, preset: Preset | None, fields: Mapping[str, Any], *, places: Places, found: Found, file: str
    ) -> Signing:
        """`fields`: what the entry says. `places`: where calls go. `found`: Google's credentials. `file`: where the
        entry stands.
        """
        if fields.get("api_key") == CALLER:
            return Signing("caller", None, ready=True, why="is asked with each caller's own key")
        asked: Auth | None = fields.get("auth")
        usual: Auth = preset.auth if preset is not None else "bearer"
        by_entra = preset is not None and preset.addressing == "azure"
        if asked == "entra" or (asked is None and fields.get("entra")):
            return self._entra(name, fields.get("entra", {}), places.root, file)
        if asked == "google" or (
            asked is None and usual == "google" and not (fields.get("api_key") or fields.get("api_keys"))
        ):
            return self._google(places, found)
        if usual == "google":
            usual = "x-goog-api-key"
        if fields.get("api_keys"):
            return self._pool(name, fields["api_keys"], asked or usual, file)
        written, variable = fields.get("api_key"), self.given(preset.keys if preset else ())
        token = self.given(preset.token_keys if preset else ())
        if written:
            return self._keyed(f"{name}.api_key", f"api_key in {file}", written, asked or usual)
        if variable is not None:
            return self._keyed(variable, variable, self._variables[variable], asked or usual)
        if token is not None:
            return self._keyed(token, token, self._variables[token], "bearer")
        if by_entra and all(self._variables.get(each) for each in (TENANT, CLIENT, SECRET)):
            return self._entra(name, {}, places.root, file)
        if preset is None or preset.local or asked == "none":
            return self._keyless(f"{name}.api_key", written if preset is None else None, asked)
        choices = " or ".join(preset.keys)
        if own := next(filter(self._is_own, preset.keys), None):
            return Signing(asked or usual, own, ready=False, why=f"{own} holds {NOT_A_KEY}")
        why = f"set {choices}" + (", or sign by Entra ID (docs/azure.md)" if by_entra else "")
        return Signing(asked or usual, preset.keys[0], ready=False, why=why)

    def _keyed(self, label: str, source: str, key: str, auth: Auth) -> Signing:
        shown = label if auth != "none" else None
        if self._token and key == self._token:
            return Signing(auth, shown, ready=False, why=f"{source} is {NOT_A_KEY}")
        if wrong := fault(key):
            return Signing(auth, shown, ready=False, why=f"{source} {wrong}")
        self._secrets[label] = key
        return Signing(auth, shown, ready=True, why=f"{source} is set")

    def _pool(self, name: str, keys: Iterable[str], auth: Auth, file: str) -> Signing:
        """Several keys. Those that cannot be used are left out, and told."""
        rows = [self._keyed(f"{name}.api_keys[{n}]", f"api_keys[{n}]", key, auth) for n, key in enumerate(keys)]
        good = tuple(row.key for row in rows if row.ready and row.key is not None)
        wrong = [row.why for row in rows if not row.ready]
        why = "; ".join([f"{len(good)} of {len(rows)} keys in {file} are set", *wrong])
        return Signing(auth, good[0] if good else rows[0].key, ready=bool(good), why=why, keys=good)

    @staticmethod
    def _keyless(label: str, written: str | None, asked: Auth | None) -> Signing:
        if written is not None:
            return Signing(asked or "bearer", label, ready=False, why="`api_key` is empty")
        if asked in (None, "none"):
            return Signing("none", None, ready=True, why="needs no key")
        return Signing(asked or "bearer", None, ready=False, why=f"`auth: {asked}` needs `api_key`")

    def _entra(self, name: str, written: Mapping[str, Any], url: str, file: str) -> Signing:
        """An identity: as the entry says, else as the variables of Microsoft's own libraries say.

        The secret of the environment belongs to the client id of the environment, and goes with no other.
        """
        scope, authority = azure.login(url)
        authority = written.get("authority") or self._variables.get(AUTHORITY) or authority
        secret, label, source = written.get("client_secret"), f"{name}.entra.client_secret", f"client_secret in {file}"
        if not secret and not written.get("client_id"):
            secret, label, source = self._variables.get(SECRET), SECRET, SECRET
        identity = Identity(
            scope=written.get("scope") or scope,
            client=written.get("client_id") or self._variables.get(CLIENT) or "",
            tenant=written.get("tenant_id") or self._variables.get(TENANT) or "",
            authority=(authority if "://" in authority else f"https://{authority}").rstrip("/"),
            secret=label if secret else None,
        )
        why, ready = "signs by a managed identity", True
        if secret:
            missing = [each for each, value in ((TENANT, identity.tenant), (CLIENT, identity.client)) if not value]
            why, ready = f"{source} is set", not missing
            if missing:
                why = f"set {' and '.join(missing)}"
            else:
                self._secrets[label] = secret
        if not safe(identity.authority):
            why, ready = f"{AUTHORITY} or `entra.authority` must be a host, or begin with https://", False
        return Signing("entra", None, ready=ready, why=why, identity=identity)

    def _google(self, places: Places, found: Found) -> Signing:
        """Application Default Credentials. What is secret stays in its file."""
        account = Account(
            file=found.file,
            kind=found.kind,
            project=places.project,
            quota_project=self._variables.get(QUOTA, ""),
            metadata=self._variables.get(METADATA) or google.METADATA,
        )
        why, ready = found.why, True
        if found.wrong:
            why, ready = found.wrong, False
        elif found.file is not None and not google.installed():
            why, ready = f"{why}, which needs: {google.INSTALL}", False
        elif not safe(places.root):
            why, ready = "tokens go to base_url, which must begin with https://", False
        return Signing("google", None, ready=ready, why=why, identity=account)
