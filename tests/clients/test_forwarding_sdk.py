"""The official Python SDK's files, batches and models, through the gateway, against a small copy of Anthropic's API."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from clients.conftest import client
from dragoman.config.settings import Config, Leads, Provider, Secrets, Server
from dragoman.dialects import DIALECTS
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Target
from dragoman.server import application
from server_fixture import listening

pytestmark = pytest.mark.anyio

SCRIPT = str(Path(__file__).with_name("forwarding_sdk.py"))
KEY = "canary-upstream-4711"
NOW = "2026-01-01T00:00:00Z"


class Origin:
    """Keeps files and batches, and tells wrong addresses where a gateway has to mend them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.keys: set[str] = set()

    def batch(self, name: str, status: str = "ended") -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        return {
            "id": name, "type": "message_batch", "processing_status": status, "request_counts": counts,
            "created_at": NOW, "expires_at": NOW, "ended_at": NOW, "cancel_initiated_at": None, "archived_at": None,
            "results_url": f"https://api.anthropic.com/v1/messages/batches/{name}/results",
        }  # fmt: skip

    def file(self, name: str) -> dict[str, Any]:
        return {
            "id": name, "type": "file", "filename": "a.pdf", "mime_type": "application/pdf", "downloadable": True,
            "size_bytes": len(self.files.get(name, b"")), "created_at": NOW,
        }  # fmt: skip

    async def answer(self, request: Request) -> Response:
        self.keys.add(request.headers["x-api-key"])
        match [request.method, *request.url.path.removeprefix("/v1/").split("/")]:
            case ["POST", "messages", "batches"]:
                asked = await request.json()
                assert asked["requests"][0]["custom_id"] == "one"
                return JSONResponse(self.batch("b1", "in_progress"))
            case ["GET", "messages", "batches"]:
                first = "after_id" not in request.query_params
                name = "b1" if first else "b2"
                page = {"data": [self.batch(name)], "has_more": first, "first_id": name, "last_id": name}
                return JSONResponse(page)
            case ["POST", "messages", "batches", name, "cancel"]:
                return JSONResponse(self.batch(name, "canceling"))
            case ["DELETE", "messages", "batches", name]:
                return JSONResponse({"id": name, "type": "message_batch_deleted"})
            case ["GET", "messages", "batches", _, "results"]:
                line = json.dumps({"custom_id": "one", "result": {"type": "canceled"}}) + "\n"
                return Response(line, media_type="application/x-jsonl")
            case ["GET", "messages", "batches", name]:
                return JSONResponse(self.batch(name))
            case ["POST", "files"]:
                boundary = request.headers["content-type"].partition("boundary=")[2].encode()
                _, head, rest = (await request.body()).partition(b"\r\n\r\n")
                assert head
                self.files["f1"] = rest.rpartition(b"\r\n--" + boundary + b"--")[0]
                return JSONResponse(self.file("f1"))
            case ["GET", "files"]:
                return JSONResponse({"data": [self.file("f1")], "has_more": False, "first_id": "f1", "last_id": "f1"})
            case ["GET", "files", name, "content"]:
                body = self.files[name]
                pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
                return StreamingResponse(pieces, media_type="application/pdf")
            case ["DELETE", "files", name]:
                return JSONResponse({"id": name, "type": "file_deleted"})
            case ["GET", "files", name] if name in self.files:
                return JSONResponse(self.file(name))
            case ["GET", "models"]:
                found = {"id": "claude-opus-5-5", "type": "model", "display_name": "Opus", "created_at": NOW}
                return JSONResponse({"data": [found], "has_more": False, "first_id": found["id"], "last_id": None})
        error = {"type": "error", "error": {"type": "not_found_error", "message": "gone"}, "request_id": "req_theirs"}
        return JSONResponse(error, 404, {"request-id": "req_theirs"})


@pytest.mark.failure(69, 118)
@pytest.mark.parametrize("version", ["python-2", "python-0"])
async def test_files_batches_and_models(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    python = client(version, "bin", "python")
    monkeypatch.setattr(application, "DIALECTS", {**DIALECTS, "anthropic": ANTHROPIC})
    origin = Origin()
    methods = ["GET", "POST", "DELETE"]
    async with listening(Starlette(routes=[Route("/{path:path}", origin.answer, methods=methods)])) as (far, _, _):
        target = Target(
            provider="origin", dialect="anthropic", base_url=f"http://127.0.0.1:{far}", model="", quirks=Quirks(),
            key="A_KEY", auth="x-api-key",
        )  # fmt: skip
        provider = Provider(name="origin", title="Origin", ready=True, why="A_KEY is set", template=target)
        config = Config(
            server=Server(), providers={"origin": provider}, models=(("claude-*", Leads.to("origin/claude-opus-5-5")),)
        )
        built = application.build(config, Secrets({"A_KEY": KEY}), write=lambda _: None)
        async with listening(built) as (port, _, _):
            process = await asyncio.create_subprocess_exec(
                str(python), SCRIPT, f"http://127.0.0.1:{port}", stdout=-1, stderr=-1
            )
            out, errors = await asyncio.wait_for(process.communicate(), 120)
            assert process.returncode == 0, errors.decode()
    found = json.loads(out)
    own = f"http://127.0.0.1:{port}/v1/messages/batches/b1/results"
    assert found["batches"]["results_url"] == found["batches"]["made"]["results_url"] == own
    assert found["batches"]["listed"] == ["b1", "b2"]
    assert (found["batches"]["canceled"], found["batches"]["deleted"]) == ("canceling", "message_batch_deleted")
    assert found["batches"]["results"] == [{"custom_id": "one", "result": {"type": "canceled"}}]
    assert found["files"]["made"]["size_bytes"] == 20 * 1024 * 1024
    assert found["files"]["sent"] == found["files"]["got"]
    assert found["files"]["listed"] == [found["files"]["deleted"]] == ["f1"]
    assert found["files"]["described"] == "a.pdf"
    assert found["models"] == ["claude-opus-5-5"]
    assert found["missing"]["body"]["error"]["message"] == "gone"
    assert found["missing"]["request_id"] == "req_theirs"
    assert origin.keys == {KEY}
