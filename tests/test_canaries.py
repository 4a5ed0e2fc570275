"""A key that a test shows is noticed, wherever it is shown, and the repr of what may hold one hides it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from canaries import MARK, Findings, Message, Watched
from dragoman import config
from dragoman.config.settings import Hidden
from dragoman.dialects import DIALECTS
from dragoman.messages.request import decode
from dragoman.providers.credentials import Credentials
from dragoman.routing.router import Router
from server_fixture import BODY

TESTS = Path(__file__).parent
pytestmark = pytest.mark.failure(136)

LEAKS = """
import logging, subprocess, sys

import click
import pytest
from click.testing import CliRunner

from dragoman.telemetry.log import Line, Log
from dragoman.telemetry.redaction import Redactor

KEY = "sk-" + "canary"
SPEAKS = [sys.executable, "-uc", "import sys; print(sys.stdin.readline()); sys.stdin.read()"]


def test_clean():
    print("cana", "ry")
    lines = []
    Log(lines.append, redact=Redactor([KEY])).note("info", f"the key is {KEY}")
    assert lines


@pytest.mark.shows_keys("on purpose")
def test_permitted():
    print(KEY)


def test_leak_on_output():
    print(KEY)


def test_leak_on_error_output():
    print(KEY, file=sys.stderr)


def test_leak_to_a_logger():
    logging.getLogger("lab").warning(KEY)


def test_leak_in_a_line():
    Log([].append, redact=str).request(Line(error=f"refused: {KEY}"))


def test_leak_of_a_command():
    CliRunner().invoke(click.Command("leak", callback=lambda: click.echo(KEY)))


def test_leak_of_a_process():
    subprocess.run(SPEAKS, input=KEY, text=True, capture_output=True)


def test_leak_into_a_file(tmp_path):
    with (tmp_path / "out").open("wb") as out:
        subprocess.run(SPEAKS, input=KEY, text=True, stdout=out)


def test_leak_by_arguments():
    with subprocess.Popen([*SPEAKS, KEY], stdin=subprocess.PIPE) as process:
        process.kill()


def test_leak_to_a_process_that_nobody_could_find():
    command = [sys.executable, "-c", "'dragoman serve'"]
    subprocess.run(command, env={"LAB_KEY": "a-key-like-any-other"})


def test_leak_that_nobody_could_find():
    Redactor(["a-key-like-any-other"])
"""


def test_every_leak_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "test_leaks.py").write_text(LEAKS, "utf-8")
    plugin = (
        "from canaries import Canaries\ndef pytest_configure(config):\n config.pluginmanager.register(Canaries())\n"
    )
    (tmp_path / "conftest.py").write_text(plugin, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    done = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfp", "--tb=no", "-q"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TESTS)}, stdout=-1, text=True,
    )  # fmt: skip
    assert done.stdout is not None
    output = done.stdout.read()  # not by `communicate`, which would find the canaries
    done.stdout.close()
    assert done.wait() == 1, output
    failed = set(re.findall(r"^FAILED \S+::(\w+)", output, re.MULTILINE))
    passed = set(re.findall(r"^PASSED \S+::(\w+)", output, re.MULTILINE))
    assert passed == {"test_clean", "test_permitted"}, output
    assert failed == set(re.findall(r"def (test_leak\w+)", LEAKS)), output


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "header", "body", "seen"),
    [
        (200, b"sonnet", b'{"text":"canary"}', 0),  # a model may say what it likes
        (200, b"canary", b"{}", 1),
        (401, b"sonnet", b'{"error":"canary"}', 1),
        (200, b"sonnet", b"data: canary\n\n", 0),
        (200, b"sonnet", b'data: x\n\nevent: error\ndata: {"message":"canary"}\n\n', 1),
    ],
)
async def test_replies_are_looked_at(status: int, header: bytes, body: bytes, seen: int) -> None:
    findings, sent = Findings(), []

    async def send(message: Message) -> None:
        sent.append(message)

    reply = Watched(findings, "/v1/messages", send)
    await reply.send({"type": "http.response.start", "status": status, "headers": [(b"x-dragoman-target", header)]})
    await reply.send({"type": "http.response.body", "body": body})
    assert len(findings.take()) == seen
    assert len(sent) == 2
    assert findings.take() == []


EVERYWHERE = """
server: {auth_token: "${TOKEN}"}
providers:
  lab: {base_url: "http://lab.example/v1", api_key: "${SECRET}", headers: {X-Extra: "${SECRET}"}}
  several: {dialect: responses, base_url: "https://several.example", api_keys: ["${SECRET}", "canary-written-here"]}
  azure: {base_url: "https://r1.example", auth: entra, entra: {client_id: c, tenant_id: t, client_secret: "${SECRET}"}}
  anthropic: {}
  gemini: {headers: {X-Extra: "${SECRET}"}}
  openai: {}
models: {sonnet: [lab/a, several/b, azure/c, anthropic/d, gemini/e, openai/f]}
"""
KEYS = {
    name: f"canary-{name.lower()}"
    for name in ("TOKEN", "SECRET", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
} | {"HTTPS_PROXY": "http://user:canary-proxy@proxy.example:1"}


def inside(one: object, seen: dict[int, object]) -> Iterator[object]:
    """`one` and all that it is made of."""
    if id(one) in seen:
        return
    seen[id(one)] = one
    yield one
    parts: list[object] = []
    if isinstance(one, dict):
        parts = [*one.keys(), *one.values()]
    elif isinstance(one, list | tuple | set | frozenset):
        parts = list(one)
    elif type(one).__module__.startswith("dragoman"):
        names = [*getattr(one, "__struct_fields__", ()), *getattr(one, "__dict__", ()), *getattr(one, "__slots__", ())]
        parts = [getattr(one, name) for name in names if hasattr(one, name)]
    for part in parts:
        yield from inside(part, seen)


def test_no_repr_of_what_leads_to_a_key_shows_it(tmp_path: Path) -> None:
    (tmp_path / "dragoman.yaml").write_text(EVERYWHERE, "utf-8")
    found, secrets = config.load(path=None, environ=KEYS, folder=tmp_path, home=tmp_path)
    assert {value for value in secrets.values() if MARK in value}
    router = Router(found)
    targets = router.route("sonnet").targets
    assert len(targets) == 6
    credentials = Credentials(secrets, found.identities)
    request = decode(json.dumps(BODY).encode())
    calls = [DIALECTS[target.dialect].call(request, target) for target in targets]
    for target in targets:
        credentials.headers(target, 0.0)
    parts = [part for each in (found, secrets, router, credentials, *calls) for part in inside(each, {})]
    kinds = {type(part).__name__ for part in parts if type(part).__module__.startswith("dragoman")}
    assert kinds >= {"Config", "Server", "Provider", "Target", "Call", "Secrets", "Credentials", "Identity", "Recall"}
    assert [part for part in parts if isinstance(part, str) and MARK in part]  # so they are there, and reached
    for part in parts:
        if type(part).__module__.startswith("dragoman"):
            assert MARK not in f"{part!r}", type(part)
            assert isinstance(part, Hidden) or MARK not in str(part), type(part)
