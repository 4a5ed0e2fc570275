"""The form of a bundle, and the folder that it is kept in."""

from pathlib import Path

import pytest

from dragoman.dialects.contract import Facts, Target
from dragoman.providers.presets import QUIRKS
from dragoman.telemetry.blackout import Blackout
from dragoman.telemetry.bundle import Body, Bundle, Folder, Request, body_of, bytes_of, decode, encode, target_of
from dragoman.telemetry.recorder import _target

pytestmark = pytest.mark.failure(166)


def bundle(request_id: str = "req_1") -> Bundle:
    request = Request(method="POST", path="/v1/messages", query="", headers=[("a", "b")], body=Body(text="{}"))
    return Bundle(
        dragoman="1", python="3", recorded="2026-11-21T06:00:00.000+00:00", request_id=request_id, request=request
    )


@pytest.mark.parametrize("raw", [b"", b"text", "ü".encode(), b"\xff\x00"])
def test_bytes_come_back(raw: bytes) -> None:
    assert bytes_of(body_of(raw)) == raw


def test_a_bundle_comes_back() -> None:
    assert decode(encode(bundle())) == bundle()


def test_a_target_comes_back() -> None:
    other = Target(
        provider="lab",
        dialect="responses",
        base_url="http://x",
        model="m",
        quirks=QUIRKS["responses"](),
        headers=(("accept", "a"),),
    )
    target = Target(
        provider="lab",
        dialect="chat",
        base_url="http://x",
        model="m",
        quirks=QUIRKS["chat"](max_tokens_field="max_completion_tokens"),
        facts=Facts(context=5, efforts=("low",)),
        other=other,
    )
    assert target_of(_target(target, Blackout(()))) == target


def test_a_failure_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("full")

    folder = Folder(tmp_path, 2)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="full"):
            folder.keep(bundle())
    assert not list(tmp_path.iterdir())
    assert folder.keep(bundle()).name == "20261121T060000-req_1.json"


def test_only_what_was_written_here_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}", "utf-8")
    folder = Folder(tmp_path, 1)
    folder.keep(bundle("req_1"))
    folder.keep(bundle("req_2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20261121T060000-req_2.json", "mine.json"]
