"""What people are told while it works and when it does not: who answered, and what to do."""

from pathlib import Path

import pytest

from clients import wire_client
from clients.conftest import CONFIGURATION, KEY, logged, started
from clients.scripted import Upstream


@pytest.mark.failure(162)
@pytest.mark.parametrize("stream", [True, False])
def test_who_answered(upstream: Upstream, tmp_path: Path, stream: bool) -> None:
    (tmp_path / "dragoman.yaml").write_text(CONFIGURATION.format(url=upstream.url), "utf-8")
    with started(tmp_path, "--config", str(tmp_path / "dragoman.yaml"), LAB_KEY=KEY) as url:
        reply = wire_client.message(url, model="claude-sonnet-4-5", stream=stream)
        (line,) = logged(tmp_path, 1)
    assert reply.headers["x-dragoman-target"] == "lab/text"
    assert reply.headers["request-id"] == line["request_id"]
    assert (line["model"], line["provider"], line["upstream_model"]) == ("claude-sonnet-4-5", "lab", "text")
    assert line["status"] == 200
    assert line["ms"] > 0
    assert line["usage"]["output_tokens"] == 30


@pytest.mark.failure(163)
@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("locked", 401, "lab/locked answered 401: Incorrect API key provided. Check the key lab.api_key"),
        ("absent", 404, "lab/absent answered 404: The model absent does not exist. Check that lab offers the model"),
        ("limited", 429, "lab/limited answered 429: Slow down."),
    ],
)
def test_an_error_that_somebody_can_act_on(gateway: str, model: str, status: int, told: str) -> None:
    reply = wire_client.message(gateway, model=f"lab/{model}")
    assert reply.status == status
    assert reply.body["error"]["message"].startswith(told)
    assert reply.body["request_id"] == reply.headers["request-id"]
