"""One child process: started when it is first needed, started again when it dies, ended with the gateway.

It gets a random key in LITELLM_MASTER_KEY, says `listens on port N` when it does, and ends when its standard input is
closed: a gateway that was killed leaves nobody behind.
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from dragoman.messages.errors import ApiError

DEATHS = 5  # ends that nobody asked for, within
WITHIN = 60.0  # seconds, after which it is not started for as long
START_LIMIT = 90.0  # seconds until it listens
STOP_LIMIT = 5.0  # seconds until it is killed
LAST_WORDS = 4096  # bytes of what it said, for the log

_KEY = "LITELLM_MASTER_KEY"
_LISTENS = re.compile(rb"listens on port (\d+)\r?\n")


class Address(Struct, frozen=True):
    """Where it listens, and the key that it wants."""

    origin: str
    key: str

    def __repr__(self) -> str:
        return f"Address({self.origin!r})"


class Child:
    """Keeps one process. `variables`: its whole environment; `tell`: gets lines for the log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        start_limit: float = START_LIMIT,
        stop_limit: float = STOP_LIMIT,
    ) -> None:
        self._name = name
        self._command = command
        self._variables = variables
        self._tell = tell
        self._clock = clock
        self._start_limit = start_limit
        self._stop_limit = stop_limit
        self._deaths: list[float] = []
        self._closed = False
        self._said = b""
        self._address: asyncio.Future[Address] | None = None  # of the process that runs, or starts
        self._life: asyncio.Task[None] | None = None

    async def address(self) -> Address:
        """Where it listens; it is started when it does not run. Raises ApiError.

        A caller that leaves does not end the start: others wait for the same process.
        """
        if self._closed:
            raise ApiError("overloaded", "dragoman is stopping. Try again.")
        if self._address is None:
            self._start()
        assert self._address is not None  # noqa: S101 a start sets it
        return await asyncio.shield(self._address)

    async def close(self) -> None:
        """End it, for good."""
        self._closed = True
        life, address = self._life, self._address
        if life is not None and address is not None:
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
            self._fail(address)  # it may not have begun to live

    def _start(self) -> None:
        now = self._clock()
        self._deaths = [death for death in self._deaths if now - death < WITHIN]
        if len(self._deaths) >= DEATHS:
            text = f"{self._name} died {DEATHS} times within {WITHIN:g} s. dragoman's log has its last words."
            raise ApiError("unreachable", text, should_retry=False)
        self._address = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(self._address))

    async def _live(self, address: asyncio.Future[Address]) -> None:
        """From its start to its end."""
        code = None
        try:
            code = await self._run(address)
        except OSError as error:
            self._said = (error.strerror or type(error).__name__).encode()
        finally:
            self._address = self._life = None
            started = address.done()
            self._fail(address)
        self._deaths.append(self._clock())
        self._tell(f"{self._name} ended ({code}). Its last words: {self._said.decode(errors='replace').strip()}")
        if started:
            with contextlib.suppress(ApiError):  # the next caller is told
                self._start()

    def _fail(self, address: asyncio.Future[Address]) -> None:
        """Tell those who wait for an address that there will be none."""
        if not address.done():
            text = f"{self._name} could not be started. dragoman's log has its last words."
            address.set_exception(ApiError("unreachable", text, should_retry=False))
            address.exception()  # with nobody left who waits, asyncio must not report it

    async def _run(self, address: asyncio.Future[Address]) -> int:
        """Its exit code. Raises OSError. Cancelling this ends the process."""
        key = secrets.token_urlsafe(32)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env={**self._variables, _KEY: f"sk-{key}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # what is typed at the terminal is for the gateway, which lets streams end
        )
        assert process.stdout is not None and process.stdin is not None  # noqa: PT018, S101 they are pipes
        self._said = b""
        timer = asyncio.get_running_loop().call_later(self._start_limit, process.kill)
        try:
            while chunk := await process.stdout.read(LAST_WORDS):
                self._said = (self._said + chunk)[-LAST_WORDS:]
                if not address.done() and (found := _LISTENS.search(self._said)):
                    timer.cancel()
                    address.set_result(Address(f"http://127.0.0.1:{int(found[1])}", f"sk-{key}"))
            return await process.wait()
        finally:
            timer.cancel()
            process.stdin.close()
            if process.returncode is None:
                await self._stop(process)

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._stop_limit):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
