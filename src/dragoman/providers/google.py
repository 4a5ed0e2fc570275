"""Tokens of Google: who asks for them, how, and what the answers mean. Nothing is sent from here.

Application Default Credentials: https://cloud.google.com/docs/authentication/application-default-credentials
Files are left to the library `google-auth` (the extra `vertex`), which knows every kind of them; it sends by what it is
given here. The metadata server of Google Cloud is one plain call.
"""

import json
import time
from collections.abc import Mapping, MutableMapping
from datetime import UTC
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.providers.tokens import (
    Fetch,
    Headers,
    Send,
    Token,
    TokenAnswer,
    TokenCall,
    TokenTask,
    for_now,
    sendable,
    shown,
    usable,
)

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METADATA = "metadata.google.internal"
METADATA_HOSTS = (METADATA, "169.254.169.254")  # never behind a proxy
LOGIN = "gcloud auth application-default login"
INSTALL = "pip install 'dragoman[vertex]'"
KINDS = (
    "service_account",
    "authorized_user",
    "external_account",
    "external_account_authorized_user",
    "impersonated_service_account",
)
"""Values of `type` in files of credentials that can be used here."""

_EXTRA_MISSING = "extra_missing"
_FILE_GONE = "file_gone"
_FILE_WRONG = "file_wrong"
_AWS = "urn:ietf:params:aws:token-type:aws4_request"
_LONG = 3600.0  # seconds that a token without an end is kept


class Account(Struct, frozen=True, kw_only=True):
    """Who asks for tokens. Two providers share one only when everything here is the same."""

    file: str | None = None  # path of the credentials; None: the metadata server is asked
    kind: str = ""  # one of KINDS, of the file
    project: str = ""  # that calls go to: two projects never share a token
    quota_project: str = ""  # that pays, when it is another one than the credentials say
    metadata: str = METADATA  # host and port


class _Said(Struct, frozen=True):
    """Fields of answers with a token, of the metadata server and of our own task."""

    access_token: str = ""
    expires_in: float = 0.0
    quota_project: str = ""
    error: str = ""
    error_description: str = ""


def installed() -> bool:
    """Whether the library is there. Does not import it."""
    try:
        return find_spec("google.auth") is not None
    except ModuleNotFoundError:  # not even another library of Google
        return False


def fetch(account: Account, loaded: MutableMapping[Account, Any], provider: str) -> Fetch:
    """Get a token for `account`. `loaded` keeps the library's credentials, one object for each account.

    Raises ApiError: "upstream_authentication" that says what to do, "upstream_failed" for a passing fault.
    """
    if account.file is not None:
        answer = yield TokenTask(lambda send: refreshed(account, loaded, send))
    else:
        try:
            answer = yield _metadata_call(account)
        except ApiError as error:
            text = (
                f"No credentials of Google were found for the provider {provider}: there is no file of them, and "
                f"{account.metadata} does not answer, as it does on Google Cloud. Run `{LOGIN}` and restart dragoman, "
                "or set GOOGLE_APPLICATION_CREDENTIALS."
            )
            raise ApiError("upstream_authentication", text, should_retry=False) from error
    return token(answer.status, answer.body, account, provider)


def _metadata_call(account: Account) -> TokenCall:
    """https://cloud.google.com/compute/docs/access/authenticate-workloads#applications"""
    query = urlencode({"scopes": SCOPE})
    url = f"http://{account.metadata}/computeMetadata/v1/instance/service-accounts/default/token?{query}"
    return TokenCall("GET", url, (("metadata-flavor", "Google"),), b"")


def token(status: int, answer: bytes, account: Account, provider: str) -> Token:
    """The token in an answer. Raises ApiError as `fetch` does."""
    try:
        said = msgspec.json.decode(answer, type=_Said, strict=False)
    except msgspec.MsgspecError:
        said = _Said()
    if status == 200 and sendable(said.access_token):
        project = account.quota_project or said.quota_project
        further: Headers = (("x-goog-user-project", project),) if project else ()
        return Token(said.access_token, usable(said.expires_in), further)
    if status == 429 or status >= 500:
        raise for_now("Google", provider, status)
    raise ApiError("upstream_authentication", _refusal(status, said, account, provider), should_retry=False)


def _refusal(status: int, said: _Said, account: Account, provider: str) -> str:
    """What to do about an answer without a token."""
    if said.error == _EXTRA_MISSING:
        return f"The provider {provider} signs by credentials of Google, which needs the extra `vertex`: {INSTALL}."
    if said.error == _FILE_GONE:
        return f"{account.file} cannot be read, for the provider {provider}. Put it back, or run `{LOGIN}`."
    if said.error == _FILE_WRONG:
        return f"{account.file} holds no credentials that can be used for the provider {provider}: get the file anew."
    why = ": ".join(filter(None, (shown(said.error), shown(said.error_description)))) or f"status {status}"
    if account.file is None:
        advice = "Attach a service account with the scope `cloud-platform` to this machine"
    elif account.kind == "service_account":
        advice = f"Check that the key in {account.file} still exists, and the clock of this machine"
    else:
        advice = f"Run `{LOGIN}`, or check {account.file}"
    return f"Google refused a token for the provider {provider}: {why}. {advice}."


def refreshed(account: Account, loaded: MutableMapping[Account, Any], send: Send) -> TokenAnswer:
    """An answer that holds a new token, got by the library. Blocks for seconds. Raises ApiError of `send`.

    The credentials stay in `loaded` while they work. After a failure their file is read again next time.
    """
    try:
        # Imported here because it is an extra, and slow.
        from google.auth import exceptions  # noqa: PLC0415
    except ImportError:
        return _answer(400, error=_EXTRA_MISSING)
    credentials = loaded.pop(account, None)
    line = _Line(send)
    try:
        if credentials is None:
            credentials = _load(account)
        credentials.refresh(line)
    except OSError:
        return _answer(400, error=_FILE_GONE)
    except exceptions.GoogleAuthError as error:
        if line.failure is not None:
            raise line.failure from error
        if isinstance(error, exceptions.RefreshError):
            return _refused(error, line.status)
        return _answer(400, error="transport" if isinstance(error, exceptions.TransportError) else _FILE_WRONG)
    except (ValueError, KeyError, TypeError, AttributeError):  # what they say may quote the file
        return _answer(400, error=_FILE_WRONG)
    loaded[account] = credentials
    expiry = credentials.expiry
    seconds = _LONG if expiry is None else expiry.replace(tzinfo=UTC).timestamp() - time.time()
    quota = getattr(credentials, "quota_project_id", None) or ""
    return _answer(200, access_token=credentials.token, expires_in=seconds, quota_project=quota)


def _load(account: Account) -> Any:
    """The library's credentials, from the file. Raises OSError, ValueError and others for what is none."""
    found = json.loads(Path(account.file or "").read_text("utf-8"))
    library: Any  # it has no types
    match found["type"]:
        case "service_account":
            from google.oauth2 import service_account as library  # noqa: PLC0415

            return library.Credentials.from_service_account_info(found, scopes=[SCOPE])
        case "authorized_user":
            from google.oauth2 import credentials as library  # noqa: PLC0415

            return library.Credentials.from_authorized_user_info(found, [SCOPE])
        case "impersonated_service_account":
            from google.auth import impersonated_credentials as library  # noqa: PLC0415

            return library.Credentials.from_impersonated_service_account_info(found, scopes=[SCOPE])
        case "external_account_authorized_user":
            from google.auth import external_account_authorized_user as library  # noqa: PLC0415

            return library.Credentials.from_info(found)  # its scopes were chosen at the login
        case "external_account" if found.get("subject_token_type") == _AWS:
            from google.auth import aws as library  # noqa: PLC0415
        case "external_account" if "executable" in found["credential_source"]:
            from google.auth import pluggable as library  # noqa: PLC0415
        case "external_account":
            from google.auth import identity_pool as library  # noqa: PLC0415
        case kind:
            raise ValueError(kind)
    return library.Credentials.from_info(found, scopes=[SCOPE])


def _refused(error: Any, status: int) -> TokenAnswer:
    """What a RefreshError says: only the two fields of OAuth, because the rest may be anything."""
    if error.retryable:
        return _answer(max(status, 500), error="retryable")
    said: dict[str, Any] = next((each for each in error.args if isinstance(each, dict)), {})
    code: Any = said.get("error")
    description: Any = said.get("error_description")
    if isinstance(code, dict):  # an error of Google's own APIs, as of impersonation
        code, description = code.get("status"), code.get("message")
    return _answer(400, error=str(code or f"status {status}"), error_description=str(description or ""))


def _answer(status: int, **fields: str | float) -> TokenAnswer:
    return TokenAnswer(status, msgspec.json.encode(fields))


class _Response(Struct, frozen=True):
    """`google.auth.transport.Response`."""

    status: int
    data: bytes
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"_Response({self.status})"


class _Line:
    """What the library sends by: `google.auth.transport.Request`. Client certificates are not supported."""

    def __init__(self, send: Send) -> None:
        self.failure: ApiError | None = None  # of the last call
        self.status = 0  # of the last answer
        self._send = send

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,  # a timeout: the gateway has its own
    ) -> _Response:
        from google.auth import exceptions  # noqa: PLC0415

        raw = body.encode() if isinstance(body, str) else body or b""
        try:
            answer = self._send(TokenCall(method, url, tuple((headers or {}).items()), raw))
        except ApiError as error:
            self.failure = error
            failed: Any = exceptions.TransportError
            raise failed(error.message) from error
        self.failure = None
        self.status = answer.status
        return _Response(answer.status, answer.body)
