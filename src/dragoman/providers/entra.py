"""Tokens of Microsoft Entra ID: what is asked for one, and what the answer means. Nothing is sent from here.

Client credentials: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
Managed identities are left to the library `azure-identity` (the extra `azure`), which knows every host that has them.
"""

import time
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.providers.tokens import Fetch, Token, TokenAnswer, TokenCall, TokenTask, for_now, sendable, shown, usable

AUTHORITY = "https://login.microsoftonline.com"
EXTRA_MISSING = "extra_missing"

HEADERS = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))

# What to do, by the number in "AADSTS7000215: ...".
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
ADVICE = {
    "AADSTS7000215": "The client secret is wrong: take its value, not its id",
    "AADSTS7000222": "The client secret has expired: make a new one",
    "AADSTS700016": "The tenant has no application with this client id: check both",
    "AADSTS90002": "There is no such tenant: check the tenant id",
    "AADSTS900023": "This is no tenant id: check it",
    "AADSTS500011": "The tenant does not know the scope: check `entra.scope`",
    "AADSTS70011": "The scope is not valid: check `entra.scope`",
}


class Identity(Struct, frozen=True, kw_only=True):
    """Who asks for tokens, where, and for what. `secret` is the *name* of the client secret, never the secret."""

    scope: str  # "https://cognitiveservices.azure.com/.default"
    client: str = ""  # client id; of a managed identity: "" is the machine's own
    tenant: str = ""
    authority: str = AUTHORITY  # without a trailing slash
    secret: str | None = None  # None: a managed identity

    @property
    def url(self) -> str:
        """Where client credentials become a token."""
        return f"{self.authority}/{quote(self.tenant, safe='')}/oauth2/v2.0/token"


class _Answer(Struct, frozen=True):
    """Fields of both kinds of answer. https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow"""

    access_token: str = ""
    expires_in: float = 0.0  # a text in older answers
    error: str = ""
    error_description: str = ""


def fetch(identity: Identity, secret: str | None, provider: str) -> Fetch:
    """Get a token for `identity`; `secret` is what its own `secret` names. Raises ApiError as `token` does."""
    if secret is None:
        answer = yield TokenTask(lambda _: TokenAnswer(*managed(identity)))
    else:
        answer = yield TokenCall("POST", identity.url, HEADERS, body(identity, secret))
    return token(answer.status, answer.body, identity, provider)


def body(identity: Identity, secret: str) -> bytes:
    """The form that asks for a token by client credentials."""
    fields = {
        "client_id": identity.client,
        "client_secret": secret,
        "grant_type": "client_credentials",
        "scope": identity.scope,
    }
    return urlencode(fields).encode()


def token(status: int, answer: bytes, identity: Identity, provider: str) -> Token:
    """The token in an answer. Raises ApiError: "upstream_authentication", or "upstream_failed" for a passing fault."""
    try:
        said = msgspec.json.decode(answer, type=_Answer, strict=False)
    except msgspec.MsgspecError:
        said = _Answer()
    if status == 200 and sendable(said.access_token):
        return Token(said.access_token, usable(said.expires_in))
    if status == 429 or status >= 500:
        raise for_now("Entra ID", provider, status)
    raise ApiError("upstream_authentication", _refusal(status, said, identity, provider), should_retry=False)


def _refusal(status: int, said: _Answer, identity: Identity, provider: str) -> str:
    """What to do about an answer without a token."""
    if said.error == EXTRA_MISSING:
        return (
            f"The provider {provider} signs by a managed identity, which needs the extra `azure`: "
            "pip install 'dragoman[azure]'. Or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET."
        )
    number = said.error_description.partition(":")[0]
    who = "the managed identity" if identity.secret is None else f"the client id, the tenant and {identity.secret}"
    advice = ADVICE.get(number, f"Check {who}")
    why = shown(said.error_description) or shown(said.error) or f"status {status}"
    return f"Entra ID refused a token for the provider {provider}: {why}. {advice}, and restart dragoman."


def managed(identity: Identity) -> tuple[int, bytes]:
    """Status and body of an answer that holds a managed identity's token. Blocks for seconds; raises nothing."""
    try:
        # Imported here because it is an extra, takes 0.3 s and 35 MB, and few need it.
        from azure.core.exceptions import AzureError  # noqa: PLC0415
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415
    except ImportError:
        return 400, msgspec.json.encode({"error": EXTRA_MISSING})
    try:
        with ManagedIdentityCredential(client_id=identity.client or None) as credential:
            found = credential.get_token(identity.scope)
    except AzureError as error:
        return 400, msgspec.json.encode({"error": "managed_identity", "error_description": str(error)})
    return 200, msgspec.json.encode({"access_token": found.token, "expires_in": found.expires_on - time.time()})
