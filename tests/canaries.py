"""Canaries: keys of tests hold the word `canary`, and whatever a test makes a gateway write is searched for it.

Searched are: every line that a log writes; what a reply says beside the model's words (headers, refusals, error
events); what commands print; output and error output of every process that a test starts, and the arguments of all that
these start. A test that finds one fails, whatever else it tests. Conversations may hold canaries as well: nobody logs
them.
"""

import contextlib
import http.client
import re
import subprocess
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dragoman.server.application import Application
from dragoman.server.cycle import Cycle
from dragoman.telemetry.log import Log
from dragoman.telemetry.redaction import SHORTEST, Redactor

MARK = "canary"
KNOWN = ("dragoman", "dev-local")  # stand-ins for keys that everybody knows
SECRET = re.compile(r"(KEY|TOKEN|SECRET)$")  # variables that hold one
AROUND = 60  # characters that are shown before and after it

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Findings:
    """Where canaries were seen, since they were last taken."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._outputs: list[_Output] = []

    def look(self, where: str, text: str | bytes | None) -> None:
        """Remember `where`, when there is a canary in `text`."""
        if not text:
            return
        if isinstance(text, bytes):
            if MARK.encode() not in text:
                return
            text = text.decode("utf-8", "replace")
        at = text.find(MARK)
        if at >= 0:
            self._found.append(f"a key in {where}: …{text[max(at - AROUND, 0) : at + AROUND]}…")

    def know(self, key: str) -> None:
        """A gateway has this key: it must be one that can be searched for."""
        if len(key) >= SHORTEST and MARK not in key and key not in KNOWN:
            self._found.append(f"a key that cannot be searched for, without {MARK!r} in it: {key}")

    def follow(self, process: "subprocess.Popen[Any]", *streams: object) -> None:
        """Read what `process` writes into files."""
        for stream in streams:
            name = getattr(stream, "name", None)
            if isinstance(name, str):
                self._outputs.append(_Output(process, Path(name)))

    def take(self) -> list[str]:
        """All that was seen."""
        for output in list(self._outputs):
            over = output.process.returncode is not None
            self.look(f"output of process {output.process.pid}", output.more())
            if over:
                self._outputs.remove(output)
        found, self._found = self._found, []
        return found


class _Output:
    """A file that a process writes."""

    def __init__(self, process: "subprocess.Popen[Any]", path: Path) -> None:
        self.process = process
        self._path = path
        self._read = path.stat().st_size if path.exists() else 0

    def more(self) -> bytes:
        """What was added; lines that are not whole yet are left for later."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read)
            found = file.read()
            if self.process.returncode is None:
                found = found[: found.rfind(b"\n") + 1]
            self._read += len(found)
            return found
        return b""


class Watched:
    """Stands between the application and the socket, and looks at what is no word of a model."""

    def __init__(self, findings: Findings, path: str, send: Send) -> None:
        self._findings = findings
        self._path = path
        self._send = send
        self._refused = False

    def look(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._refused = message["status"] >= 400
            for name, value in message.get("headers", ()):
                self._findings.look(f"header {name.decode()} of the reply to {self._path}", value)
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if self._refused:
                self._findings.look(f"refusal of {self._path}", body)
            elif b"event: error" in body:
                self._findings.look(f"error event of {self._path}", body[body.find(b"event: error") :])

    async def send(self, message: Message) -> None:
        self.look(message)
        await self._send(message)


class Canaries:
    """A plugin: a test that showed a key failed, unless it says that it shows one."""

    def __init__(self) -> None:
        self.findings = Findings()
        self._patch = pytest.MonkeyPatch()

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "shows_keys(why): a test that shows a key on purpose; see canaries.py")
        watch(self.findings, self._patch)

    def pytest_unconfigure(self) -> None:
        self._patch.undo()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        shown = (("output", report.capstdout), ("error output", report.capstderr), ("logging", report.caplog))
        for name, text in shown:
            self.findings.look(f"{name} of the test", text)
        found = self.findings.take()
        if found and report.passed and item.get_closest_marker("shows_keys") is None:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}, {report.when}: see tests/canaries.py\n" + "\n".join(found)
        return report


def watch(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    """Look at everything, until `patch` is undone."""
    _watch_logs(findings, patch)
    _watch_keys(findings, patch)
    _watch_replies(findings, patch)
    _watch_callers(findings, patch)
    _watch_commands(findings, patch)
    _watch_processes(findings, patch)


def _watch_logs(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    made = Log.__init__

    @wraps(made)
    def make(self: Log, write: Callable[[str], None], **settings: Any) -> None:
        def written(line: str) -> None:
            findings.look("log", line)
            write(line)

        made(self, written, **settings)

    patch.setattr(Log, "__init__", make)


def _watch_keys(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    """Keys that gateways know, and that are long enough to be told from words, must be canaries to be searched for."""
    made = Redactor.__init__

    @wraps(made)
    def make(self: Redactor, secrets: Iterable[str] = ()) -> None:
        known = list(secrets)
        for key in known:
            findings.know(key)
        made(self, known)

    patch.setattr(Redactor, "__init__", make)


def _watch_replies(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    """Of applications, whatever serves them. On our own connections nobody stands between: their calls are watched."""
    called = Application.__call__
    watched: dict[Cycle, Watched] = {}  # scripted upstreams have cycles, too, and may say what they like

    async def nowhere(_message: Message) -> None:
        """What was looked at goes its own way."""

    @wraps(called)
    async def call(self: Application, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await called(self, scope, receive, send)
        elif isinstance(send, Cycle):
            watched[send] = Watched(findings, scope["path"], nowhere)
            try:
                await called(self, scope, receive, send)
            finally:
                del watched[send]
        else:
            await called(self, scope, receive, Watched(findings, scope["path"], send).send)

    patch.setattr(Application, "__call__", call)
    _watch_cycles(watched, patch)


def _watch_cycles(watched: "dict[Cycle, Watched]", patch: pytest.MonkeyPatch) -> None:
    messaged, answered, opened, written = Cycle.__call__, Cycle.answer, Cycle.open, Cycle.write

    @wraps(messaged)
    async def message(self: Cycle, sent: Message) -> None:
        if self in watched:
            watched[self].look(sent)
        await messaged(self, sent)

    @wraps(answered)
    def answer(self: Cycle, status: int, fields: bytes, body: bytes) -> None:
        if self in watched:
            watched[self].look({"type": "http.response.start", "status": status, "headers": [(b"(all)", fields)]})
            watched[self].look({"type": "http.response.body", "body": body})
        answered(self, status, fields, body)

    @wraps(opened)
    def begin(self: Cycle, fields: bytes) -> None:
        if self in watched:
            watched[self].look({"type": "http.response.start", "status": 200, "headers": [(b"(all)", fields)]})
        opened(self, fields)

    @wraps(written)
    def write(self: Cycle, chunk: bytes) -> Awaitable[None] | None:
        if self in watched:
            watched[self].look({"type": "http.response.body", "body": chunk})
        return written(self, chunk)

    for name, change in (("__call__", message), ("answer", answer), ("open", begin), ("write", write)):
        patch.setattr(Cycle, name, change)


def _watch_callers(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    """What gateways in other processes refuse with."""
    read = http.client.HTTPResponse.read

    @wraps(read)
    def reading(self: http.client.HTTPResponse, *arguments: Any) -> bytes:
        found = read(self, *arguments)
        if self.status >= 400:
            findings.look("refusal that was read", found)
        return found

    patch.setattr(http.client.HTTPResponse, "read", reading)


def _watch_commands(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    invoked = CliRunner.invoke

    @wraps(invoked)
    def invoke(self: CliRunner, *arguments: Any, **options: Any) -> Result:
        result = invoked(self, *arguments, **options)
        findings.look("command", result.output)
        return result

    patch.setattr(CliRunner, "invoke", invoke)


def _watch_processes(findings: Findings, patch: pytest.MonkeyPatch) -> None:
    Popen = subprocess.Popen  # noqa: N806 the class
    made, communicated, signalled = Popen.__init__, Popen.communicate, Popen.send_signal

    @wraps(made)
    def make(self: "subprocess.Popen[Any]", *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        if "dragoman" in str(self.args):
            for name, value in (options.get("env") or {}).items():
                if SECRET.search(name):
                    findings.know(value)
        findings.follow(self, options.get("stdout"), options.get("stderr"))

    @wraps(communicated)
    def communicate(self: "subprocess.Popen[Any]", *arguments: Any, **options: Any) -> Any:
        output = communicated(self, *arguments, **options)
        for text in output:
            findings.look(f"output of process {self.pid}", text)
        return output

    @wraps(signalled)
    def send_signal(self: "subprocess.Popen[Any]", sig: int) -> None:
        if self.returncode is None:
            for pid, line in arguments_of(family(self.pid)):
                findings.look(f"arguments of process {pid}", line)
        signalled(self, sig)

    patch.setattr(Popen, "__init__", make)
    patch.setattr(Popen, "communicate", communicate)
    patch.setattr(Popen, "send_signal", send_signal)


PROCESSES = Path("/proc")  # on systems that have none, arguments are not looked at


def family(pid: int) -> set[int]:
    """`pid`, its children, and theirs."""
    children: dict[int, list[int]] = {}
    for path in PROCESSES.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found, left = set(), [pid]
    while left:
        one = left.pop()
        found.add(one)
        left += children.get(one, ())
    return found


def arguments_of(pids: Iterable[int]) -> list[tuple[int, bytes]]:
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found.append((pid, (PROCESSES / str(pid) / "cmdline").read_bytes()))
    return found
