"""A scripted Vertex AI, and the token endpoint of Google's accounts.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

import base64
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from clients import scripted
from clients.gemini_rules import GoogleRefused, version
from clients.responses_rules import Json
from clients.scripted_gemini import Host

AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the address of the token endpoint is
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Account:
    """Somebody who may use one project: a service account with a key, or a user with a refresh token."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.email = f"robot@{project}.iam.gserviceaccount.com"
        self.refresh_token = f"canary-refresh-{project}"
        self.client_secret = f"canary-client-secret-{project}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def service_account(self, token_url: str) -> Json:
        """The file that Google hands out for a service account."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account", "project_id": self.project, "private_key_id": "1", "private_key": key.decode(),
            "client_email": self.email, "client_id": "1", "token_uri": token_url,
        }  # fmt: skip

    def authorized_user(self, token_url: str) -> Json:
        """The file that `gcloud auth application-default login` leaves."""
        return {
            "type": "authorized_user", "client_id": f"{self.project}.apps", "client_secret": self.client_secret,
            "refresh_token": self.refresh_token, "quota_project_id": self.project, "token_uri": token_url,
        }  # fmt: skip


class Accounts:
    """The token endpoint: tokens for `lifetime` seconds, though it says what `expires_in` says."""

    def __init__(self, *accounts: Account, lifetime: float = 3600.0) -> None:
        self.accounts = accounts
        self.lifetime = lifetime
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.tokens: dict[str, tuple[Account, float]] = {}  # token -> whose it is, when it ends

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    def issue(self, form: dict[str, str]) -> tuple[int, Json]:
        self.asked.append(form)
        match form.get("grant_type"):
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                found = self._signer(form.get("assertion", ""))
            case "refresh_token":
                found = self._user(form)
            case _:
                return 400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type."}
        if found is None:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        token = "ya29." + secrets.token_urlsafe(32)
        self.tokens[token] = found, time.monotonic() + self.lifetime
        return 200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer", "scope": SCOPE}

    def owner(self, token: str) -> Account | None:
        """Whose token this is; None when it is nobody's, or its time is over."""
        account, ends = self.tokens.get(token, (None, 0.0))
        return account if ends > time.monotonic() else None

    def revoke(self) -> None:
        """All tokens end now, before their time."""
        self.tokens = {token: (account, 0.0) for token, (account, _) in self.tokens.items()}

    def _signer(self, assertion: str) -> Account | None:
        head, claims, signature = (_decoded(part) for part in assertion.split("."))
        said, signed = json.loads(claims), assertion.rpartition(".")[0].encode()
        for account in self.accounts:
            if said["iss"] != account.email:
                continue
            try:
                account.key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                return None
            fresh = said["iat"] - 60 <= time.time() <= said["exp"] and said["exp"] - said["iat"] <= 3600
            right = json.loads(head)["alg"] == "RS256" and said["aud"] in (AUDIENCE, self.token_url)
            return account if fresh and right and SCOPE in said["scope"].split() else None
        return None

    def _user(self, form: dict[str, str]) -> Account | None:
        for account in self.accounts:
            known = account.authorized_user("")
            if all(form.get(name) == known[name] for name in ("client_id", "client_secret", "refresh_token")):
                return account
        return None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Vertex(Host):
    """Its projects are those of the accounts; Gemini 3 and later are in the location `global` only."""

    base = ""
    shape = "Vertex"
    urls = True
    path = re.compile(r"/v1/projects/([^/]+)/locations/([^/]+)/publishers/google/models/([^:/]+):(\w+)")

    def __init__(self, brain: Any, accounts: Accounts, **more: Any) -> None:
        super().__init__(brain, **more)
        self.accounts = accounts
        self.refused_tokens = 0

    def endpoint(self, path: str, headers: dict[str, str]) -> tuple[str, str]:
        account = self._account(headers)
        found = self.path.fullmatch(path)
        if found is None:
            raise GoogleRefused(f"Path not found: {path}", status=404)
        project, location, model = found[1], found[2], unquote(found[3])
        resource = f"projects/{project}/locations/{location}/publishers/google/models/{model}"
        if project != account.project:
            raise GoogleRefused(
                f"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/{resource}'"
                " (or it may not exist).",
                reason="IAM_PERMISSION_DENIED",
                status=403,
            )
        if version(model) >= (3, 0) and location != "global":
            raise GoogleRefused(
                f"Publisher Model `{resource}` was not found or your project does not have access to it. Please ensure "
                "you are using a valid model version.",
                status=404,
            )
        return model, found[4]

    def _account(self, headers: dict[str, str]) -> Account:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        account = self.accounts.owner(token)
        if account is not None and "x-goog-api-key" not in headers:
            return account
        self.refused_tokens += 1
        reason = "ACCESS_TOKEN_EXPIRED" if token in self.accounts.tokens else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        raise GoogleRefused(
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            reason=reason,
            status=401,
        )


class _Tokens(scripted.Handler):
    accounts: Accounts

    def post(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
        status, value = self.accounts.issue(form)
        self.whole(status, {}, value)


@contextmanager
def issuing(accounts: Accounts) -> Iterator[Accounts]:
    """Run the token endpoint for the length of a `with` block."""
    with scripted.listening(type("Handler", (_Tokens,), {"accounts": accounts})) as url:
        accounts.url = url
        yield accounts
