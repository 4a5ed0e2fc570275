"""What users of older proxies have: an `.env` file, and the vendors behind it."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import Struct

from clients import scripted, scripted_claude, scripted_gemini, scripted_responses
from clients.conftest import started

OPENAI_KEY, GEMINI_KEY, CLAUDE_KEY = "canary-openai", "canary-gemini", "canary-claude"
ASK = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello"}]}
THINKING = {"type": "enabled", "budget_tokens": 1024}

OpenAI, Gemini, Claude = scripted_responses.Host, scripted_gemini.Host, scripted_claude.Host


class Answer(Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """What the model said."""
        assert self.status == 200, self.body
        return "".join(block.get("text", "") for block in self.json["content"])

    @property
    def target(self) -> str | None:
        """`provider/model`, or the refusal where there is none."""
        return self.headers.get("x-dragoman-target", self.body.decode())


class Gateway:
    """The real server in a folder with an `.env`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, None, headers)

    def ask(self, *, to: str = "/v1/messages", headers: dict[str, str] | None = None, **changed: Any) -> Answer:
        return self.send("POST", to, {**ASK, **changed}, headers or {})

    def send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        try:
            raw = None if body is None else json.dumps(body)
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, raw, fields)
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()


Serve = Callable[..., AbstractContextManager[Gateway]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts dragoman with the lines of an `.env`, and other files."""

    @contextmanager
    def begin(*arguments: str, files: dict[str, str] | None = None, **lines: str) -> Iterator[Gateway]:
        (tmp_path / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in lines.items()), "utf-8")
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text, "utf-8")
        with started(tmp_path, *arguments) as url:
            yield Gateway(url)
        output = "".join((tmp_path / name).read_text("utf-8") for name in ("stdout", "stderr"))
        assert "canary" not in output, "a key is in the log"

    return begin


@pytest.fixture
def openai() -> Iterator[OpenAI]:
    def chat(body: Any) -> scripted.Answer:
        return scripted.words(f"Chat from {body['model']}.")

    with scripted_responses.serving(
        lambda _: scripted_responses.words("From Responses."), chat, key=OPENAI_KEY
    ) as host:
        yield host
    assert not host.complaints


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with scripted_gemini.hosting(Gemini(lambda _: scripted_gemini.words("From Gemini."), key=GEMINI_KEY)) as host:
        yield host


@pytest.fixture
def claude() -> Iterator[Claude]:
    with scripted_claude.hosting(Claude(lambda _: scripted_claude.words("From Claude."), key=CLAUDE_KEY)) as host:
        yield host


@pytest.fixture
def keys(openai: OpenAI, gemini: Gemini, claude: Claude) -> dict[str, str]:
    """Keys of all three vendors, which are on this machine here."""
    return {
        "OPENAI_API_KEY": OPENAI_KEY,
        "OPENAI_BASE_URL": openai.url,
        "GEMINI_API_KEY": GEMINI_KEY,
        "GEMINI_BASE_URL": gemini.url,
        "ANTHROPIC_API_KEY": CLAUDE_KEY,
        "ANTHROPIC_UPSTREAM_BASE_URL": claude.url,
    }
