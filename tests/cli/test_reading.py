"""The configuration of `dragoman serve`, read again for a gateway that serves."""

import asyncio
from pathlib import Path

import pytest

from dragoman.cli import configuration, reloading
from dragoman.cli.failure import Failure
from dragoman.cli.reading import Reading
from dragoman.cli.reloading import Files, Hangup, keep_current

LAB = "providers: {lab: {base_url: 'http://127.0.0.1:9/v1'}}\n"


def reading(folder: Path, **more: int) -> Reading:
    environ = {"XDG_STATE_HOME": str(folder / "state")}
    return Reading(place=configuration.Place(environ, folder, folder), **more)  # type: ignore[arg-type]


def test_what_needs_another_start_is_kept_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dragoman.yaml"
    file.write_text(LAB + "server: {host: 127.0.0.1, port: 1, workers: 2, queue: 1}\n", "utf-8")
    source = reading(tmp_path, workers=3)
    serving, _, token = source.first()
    assert token is None
    file.write_text(LAB + "server: {host: 0.0.0.0, port: 2, workers: 4, queue: 2}\n", "utf-8")
    for tell in (True, False):
        found, _ = source.again(serving, None, tell=tell)
        assert (found.server.host, found.server.port, found.server.workers) == ("127.0.0.1", 1, 3)
        assert found.server.queue == 2
        said = capsys.readouterr().err
        assert ("as it is until then: server.host, server.port.\n" in said) == tell


def test_a_token_that_is_made_later_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dragoman.yaml"
    file.write_text(LAB + "server: {host: 0.0.0.0, auth_token: a-token-of-the-test}\n", "utf-8")
    source = reading(tmp_path)
    serving, _, _ = source.first()
    file.write_text(LAB + "server: {host: 0.0.0.0}\n", "utf-8")
    found, _ = source.again(serving, None, tell=True)
    assert found.server.auth_token in capsys.readouterr().err
    assert source.again(serving, None, tell=True)[0].server.auth_token == found.server.auth_token
    assert capsys.readouterr().err == ""


def test_the_demo_is_there_only_where_it_runs(tmp_path: Path) -> None:
    source = reading(tmp_path)
    serving, _, _ = source.first()
    with pytest.raises(Failure, match="start again"):
        source.again(serving, None, tell=True)
    found, _ = source.again(serving, "http://127.0.0.1:9/v1", tell=True)
    assert found.demo
    assert "demo" in found.providers


def test_files_that_come_change_and_go(tmp_path: Path) -> None:
    file = tmp_path / "file"
    files = Files([file, tmp_path / "never"])
    assert not files.changed()
    for step in (lambda: file.write_text("a"), lambda: file.write_text("ab"), file.unlink):
        step()
        assert files.changed()
        assert not files.changed()


@pytest.mark.anyio
async def test_whatever_goes_wrong_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reloading, "PAUSE", 0.01)
    tried: list[Exception] = [Failure("Wrong here."), RuntimeError("a fault of ours")]
    taken = asyncio.Event()

    async def take_over() -> None:
        if tried:
            raise tried.pop(0)
        taken.set()

    wanted = asyncio.Event()
    task = asyncio.ensure_future(keep_current(wanted, Files([tmp_path / "file"]), take_over))
    wanted.set()
    async with asyncio.timeout(5):
        while len(tried) == 2:
            await asyncio.sleep(0.005)
        wanted.set()
        while tried:
            await asyncio.sleep(0.005)
        (tmp_path / "file").touch()
        await taken.wait()
    task.cancel()
    said = capsys.readouterr().err
    assert "Error: Wrong here.\n" in said
    assert "a fault of ours" in said
    assert said.count(reloading.KEPT) == 2


def test_where_there_is_no_such_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "HANGUP", None)
    reloading.hold()
    Hangup(list, alone=True).take()
