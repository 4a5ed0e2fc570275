"""A scripted Azure OpenAI resource, and the token endpoint of Entra ID.

It knows deployments only, on both of its surfaces: the v1 API, and deployment URLs with a dated `api-version`.
https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from clients import scripted
from clients.responses_rules import Json, Refused
from clients.scripted import Answer
from clients.scripted_responses import Host, Output

SCOPES = ("https://cognitiveservices.azure.com/.default", "https://ai.azure.com/.default")
DATED = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")
SAFE = {"filtered": False, "severity": "safe"}


class AzureRefused(Refused):
    """Azure's own errors, which are not those of OpenAI."""

    @property
    def body(self) -> Json:
        return {"error": {"code": self.code, "message": self.message}}


class Unauthorized(Refused):
    """What the door of the resource says."""

    def __init__(self) -> None:
        text = (
            "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired."
        )
        super().__init__(text, status=401)

    @property
    def body(self) -> Json:
        return {"statusCode": 401, "message": self.message}


class Filtered(Refused):
    """The prompt hit the content filter."""

    def __init__(self) -> None:
        text = (
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please "
            "modify your prompt and retry. To learn more about our content filtering policies please read our "
            "documentation: https://go.microsoft.com/fwlink/?linkid=2198766"
        )
        super().__init__(text, param="prompt", code="content_filter")

    @property
    def body(self) -> Json:
        result = {"hate": SAFE, "self_harm": SAFE, "sexual": SAFE, "violence": {"filtered": True, "severity": "high"}}
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
        error = {"message": self.message, "type": None, "param": "prompt", "code": self.code, "status": 400}
        return {"error": {**error, "innererror": inner}}


class Directory:
    """A tenant of Entra ID: it hands out tokens for `lifetime` seconds."""

    tenant = "11111111-2222-3333-4444-555555555555"
    client = "66666666-7777-8888-9999-000000000000"
    password = "canary-client-secret"

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.lifetime = lifetime
        self.url = ""
        self.tokens: dict[str, float] = {}  # token -> when it ends
        self.asked: list[dict[str, str]] = []

    def issue(self, path: str, form: dict[str, str]) -> tuple[int, Json]:
        self.asked.append(form)
        if path != f"/{self.tenant}/oauth2/v2.0/token":
            return _denied(400, "invalid_request", f"AADSTS90002: Tenant '{path.split('/')[1]}' not found.", 90002)
        if form.get("grant_type") != "client_credentials":
            return _denied(400, "unsupported_grant_type", "AADSTS70003: The grant type is not supported.", 70003)
        if form.get("client_id") != self.client or form.get("client_secret") != self.password:
            text = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the"
            return _denied(401, "invalid_client", f"{text} client secret value, not the client secret ID.", 7000215)
        if form.get("scope") not in SCOPES:
            return _denied(400, "invalid_scope", "AADSTS70011: The provided value for 'scope' is not valid.", 70011)
        token = "eyJ" + secrets.token_urlsafe(24)
        self.tokens[token] = time.monotonic() + self.lifetime
        seconds = max(1, round(self.lifetime))
        return 200, {
            "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
        }  # fmt: skip

    def accepts(self, token: str) -> bool:
        return self.tokens.get(token, 0.0) > time.monotonic()

    def revoke(self) -> None:
        """All tokens end now, before their time."""
        self.tokens.clear()


def _denied(status: int, code: str, text: str, number: int) -> tuple[int, Json]:
    return status, {"error": code, "error_description": text, "error_codes": [number]}


class Resource(Host):
    """One resource with its deployments: name -> model."""

    base = ""

    def __init__(
        self,
        brain: Callable[[Json], Output],
        chat: Callable[[Json], Answer] | None = None,
        *,
        deployments: dict[str, str],
        directory: Directory | None = None,
        **more: Any,
    ) -> None:
        super().__init__(brain, chat, **more)
        self.deployments = deployments
        self.directory = directory

    def endpoint(self, target: str, headers: dict[str, str], model: str) -> tuple[str, str]:
        self._door(headers)
        parts = urlsplit(target)
        version = parse_qs(parts.query).get("api-version", [""])[0]
        v1 = re.fullmatch(r"/openai/v1/(responses|chat/completions|responses/input_tokens)", parts.path)
        classic = re.fullmatch(r"/openai/deployments/([^/]+)/chat/completions", parts.path)
        if v1:
            if version not in ("", "v1", "preview"):
                raise AzureRefused("API version not supported", code="BadRequest")
            kind = {"responses": "responses", "chat/completions": "chat"}.get(v1[1], "count")
        elif not DATED.fullmatch(version):
            raise AzureRefused("Resource not found", code="404", status=404)
        elif classic:
            kind, model = "chat", classic[1]
        elif parts.path == "/openai/responses":
            if version < "2025-03-01-preview":
                raise AzureRefused(
                    "Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later",
                    code="BadRequest",
                )
            kind = "responses"
        else:
            raise AzureRefused("Resource not found", code="404", status=404)
        if model not in self.deployments:
            raise AzureRefused(
                "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
                "minutes, please wait a moment and try again.",
                code="DeploymentNotFound",
                status=404,
            )
        return kind, self.deployments[model]

    def _door(self, headers: dict[str, str]) -> None:
        given = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is not None and given == self.key:
            return
        if self.directory is not None and self.directory.accepts(given) and "api-key" not in headers:
            return
        if self.directory is not None and "authorization" in headers:
            raise Unauthorized
        raise AzureRefused(
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for "
            "an active subscription and use a correct regional API endpoint for your resource.",
            code="401",
            status=401,
        )

    def first_chunk(self) -> Json | None:
        results = {"hate": SAFE, "self_harm": SAFE, "sexual": SAFE, "violence": SAFE}
        return {
            "choices": [], "created": 0, "id": "", "model": "", "object": "",
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": results}],
        }  # fmt: skip


class _Tokens(scripted.Handler):
    directory: Directory

    def post(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
        status, value = self.directory.issue(urlsplit(self.path).path, form)
        self.whole(status, {}, value)


@contextmanager
def issuing(directory: Directory) -> Iterator[Directory]:
    """Run the token endpoint for the length of a `with` block; `directory.url` is the authority."""
    with scripted.listening(type("Handler", (_Tokens,), {"directory": directory})) as url:
        directory.url = url
        yield directory
