"""P0.8, P1.6, P3.6, P4.5 and P4.6: make, scripts, the image, DigitalOcean, the command `proxy`, Kubernetes."""

import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from cli.test_cli_serve import Served, get, served
from clients.conftest import ROOT, clean_environment, wait_for_url
from predecessors.conftest import ASK, GEMINI_KEY, OPENAI_KEY, Gemini, OpenAI, Serve

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
TOKEN = "a-token-of-mine"
BEARER = {"authorization": f"Bearer {TOKEN}"}
BIN = Path(sys.executable).parent


def image_environment() -> dict[str, str]:
    """What the last stage of the image sets, without its paths."""
    lines = re.findall(r"^ENV (.+)", DOCKERFILE.rpartition("FROM ")[2].replace("\\\n", " "), re.MULTILINE)
    pairs = (each.partition("=") for line in lines for each in line.split())
    return {name: value for name, _, value in pairs if name.startswith("DRAGOMAN_")}


def manifests() -> dict[str, Any]:
    text = (ROOT / "deploy" / "kubernetes" / "dragoman.yaml").read_text("utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_p0_8_make_the_image_and_uv(serve: Serve, openai: OpenAI) -> None:
    for target, does in {
        "install": "sync --locked", "run": "dragoman serve", "test": "pytest", "stop": "dragoman stop",
    }.items():  # fmt: skip
        done = subprocess.run(
            ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert does in done.stdout, target
    # `docker run -p 4000:4000 -e OPENAI_API_KEY=... -e LITELLM_MASTER_KEY=...`, on a port that is free here.
    settings = image_environment()
    assert settings == {"DRAGOMAN_HOST": "0.0.0.0", "DRAGOMAN_PORT": "4000"}
    keys = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url, "OPENAI_MODEL": "gpt-4o-mini"}
    with serve(**settings, **keys, LITELLM_MASTER_KEY=TOKEN) as gateway:
        assert gateway.ask().status == 401
        assert gateway.ask(headers=BEARER).target == "openai/gpt-4o-mini"
    # `uv sync`: the lock and the metadata belong together, and hold all that is needed.
    environ = {**clean_environment(ROOT), "HOME": os.environ["HOME"], "UV_PROJECT_ENVIRONMENT": str(BIN.parent)}
    done = subprocess.run(
        [BIN / "uv", "sync", "--locked", "--offline", "--dry-run"],
        cwd=ROOT, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_p1_6_the_scripts(tmp_path: Path, openai: OpenAI) -> None:
    """Both in a checkout of their own; `make install`, which downloads, has been done there."""
    folder = tmp_path / "checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "dragoman").symlink_to(BIN / "dragoman")
    (folder / "Makefile").write_text("install:\n\t@true\n", "utf-8")
    for name in ("run-server.sh", "claudeo"):
        source = ROOT / name
        assert source.stat().st_mode & stat.S_IXUSR
        (folder / name).write_bytes(source.read_bytes())
        (folder / name).chmod(0o755)
    lines = f"OPENAI_API_KEY={OPENAI_KEY}\nOPENAI_BASE_URL={openai.url}\nBIG_MODEL=gpt-4.1\n"
    (folder / ".env").write_text(lines, "utf-8")
    errors = folder / "stderr"
    with errors.open("wb") as err:
        process = subprocess.Popen(
            [folder / "run-server.sh", "--port", "0"],
            cwd=tmp_path, env=clean_environment(folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
        )  # fmt: skip
    try:
        url = wait_for_url(process, errors)
        assert get(url, "/v1/messages", body={**ASK, "model": "haiku"})[0] == 200
        assert {body["model"] for body in openai.chats} == {"gpt-4.1-mini"}
        told = tmp_path / "told"
        claude = tmp_path / "bin" / "claude"
        claude.parent.mkdir()
        claude.write_text(f'#!/bin/sh\nprintf "%s\\n" "$ANTHROPIC_BASE_URL" "$@" > {told}\n', "utf-8")
        claude.chmod(0o755)
        environ = {**clean_environment(folder), "DRAGOMAN_PORT": url.rpartition(":")[2]}
        environ["PATH"] = f"{claude.parent}:{environ['PATH']}"
        (tmp_path / "claudeo").symlink_to(folder / "claudeo")  # as people put it on their PATH
        command = [tmp_path / "claudeo", "--model", "opus", "-p", "Hello"]
        subprocess.run(command, cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, check=True)
        assert told.read_text("utf-8").splitlines() == [url, "--model", "opus", "-p", "Hello"]
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_p3_6_the_app_on_8000(serve: Serve, openai: OpenAI) -> None:
    app = yaml.safe_load((ROOT / "deploy" / "digitalocean.yaml").read_text("utf-8"))
    button = yaml.safe_load((ROOT / ".do" / "deploy.template.yaml").read_text("utf-8"))
    assert button == {"spec": app}
    assert ".do/deploy.template.yaml" in (ROOT / "docs" / "operations.md").read_text("utf-8")
    (service,) = app["services"]
    assert (ROOT / service["dockerfile_path"]).is_file()
    values = {entry["key"]: entry["value"] for entry in service["envs"] if "value" in entry}
    assert int(values["DRAGOMAN_PORT"]) == service["http_port"] == 8000
    # Secrets have no value in the file: a token that stands there would be everybody's.
    assert {entry["key"] for entry in service["envs"] if entry.get("type") == "SECRET"}.isdisjoint(values)
    upstream = {"UPSTREAM_BASE_URL": openai.url, "UPSTREAM_API_KEY": OPENAI_KEY, "UPSTREAM_MODEL": "own/name"}
    with serve(**values, **upstream, CUSTOM_MODEL_NAME="my-model", AUTH_TOKEN=TOKEN) as gateway:
        assert gateway.get(service["health_check"]["http_path"]).json == {"status": "ok"}
        assert gateway.ask(model="my-model").status == 401
        assert gateway.ask(model="my-model", headers=BEARER).target == "upstream/own/name"
        assert gateway.get("/auth-token", x_forwarded_for="192.0.2.1").status == 403


def test_p4_5_proxy_v_on_any_platform(tmp_path: Path, openai: OpenAI, gemini: Gemini) -> None:
    lines = {
        "PREFERRED_PROVIDER": "google", "GEMINI_API_KEY": GEMINI_KEY, "GEMINI_BASE_URL": gemini.url,
        "OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url,
    }  # fmt: skip
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()), "utf-8")
    running = Served(tmp_path, ["proxy", "-v", "--port", "0"])
    try:
        assert get(running.url(), "/v1/messages", body=ASK)[0] == 200
        running.process.terminate()
        assert running.process.wait(20) == 0
    finally:
        running.process.kill()
        running.process.wait()
    log = [json.loads(line) for line in (tmp_path / "stdout").read_text("utf-8").splitlines()]
    (request,) = (line for line in log if line["event"] == "request")
    details = [line for line in log if line["event"] == "note" and line["request_id"] == request["request_id"]]
    assert details[0]["message"].startswith("attempt 1: gemini/gemini-2.5-pro: 200 after ")
    assert {line["level"] for line in details} == {"debug"}
    assert "canary" not in json.dumps(log)
    for name, wheels in compiled().items():
        assert any("macosx" in wheel for wheel in wheels), name
        assert all(any("manylinux" in each and kind in each for each in wheels) for kind in ("x86_64", "aarch64")), name
        assert name == "uvloop" or any("win_amd64" in wheel for wheel in wheels), name


def compiled() -> dict[str, list[str]]:
    """What dragoman needs and is not pure Python: its wheels in the lock. uvloop is not for Windows."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    packages = {package["name"]: package for package in lock["package"]}
    needed, waiting = set(), ["dragoman"]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [each["name"] for each in packages[name].get("dependencies", [])]
    wheels = {name: [each["url"].rpartition("/")[2] for each in packages[name].get("wheels", [])] for name in needed}
    return {name: found for name, found in wheels.items() if found and not any("none-any" in each for each in found)}


def test_p4_6_docker_compose_and_kubernetes(serve: Serve, openai: OpenAI, tmp_path: Path) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["dragoman"]
    assert compose["restart"] == "unless-stopped"
    found = manifests()
    deployment = found["Deployment"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert deployment["replicas"] == 3
    assert container["envFrom"][0]["secretRef"]["name"] == "dragoman"
    probes = [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert probes == ["/health", "/health/ready"]
    # A pod of it: its configuration, its secrets as variables, and probes that have no token.
    files = {"dragoman.yaml": found["ConfigMap"]["data"]["dragoman.yaml"]}
    secrets = {"DRAGOMAN_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": openai.url}
    with serve(files=files, **secrets) as gateway:
        assert [gateway.get(path).status for path in probes] == [200, 200]
        assert gateway.ask().status == 401
        assert gateway.ask(headers=BEARER).status == 200
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "dragoman.yaml").write_text(files["dragoman.yaml"], "utf-8")
    (tmp_path / "bare" / ".env").write_text(f"DRAGOMAN_AUTH_TOKEN={TOKEN}\n", "utf-8")
    with served(tmp_path / "bare", "--port", "0") as running:  # its key is missing: alive, and not ready
        assert [get(running.url(), path)[0] for path in probes] == [200, 503]
