"""What is shipped: the wheel in an empty environment, the image's entry point without Docker, the files to deploy."""

import configparser
import contextlib
import http.client
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.conftest import clean_environment, program, wait_for_url
from dragoman import __version__
from dragoman.config import load
from dragoman.config.settings import Server
from dragoman.server.pages import OPEN

ROOT = Path(__file__).parent.parent.parent
UV = Path(sysconfig.get_path("scripts")) / "uv"
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def uv(*arguments: str) -> str:
    done = subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def locked(*more: str) -> list[str]:
    """Names of the packages that an installation gets: a plain one, unless `more` says otherwise."""
    arguments = (
        "--quiet",
        "--offline",
        "--locked",
        "--no-dev",
        "--no-emit-project",
        "--no-hashes",
        "--no-annotate",
        *more,
    )
    lines = [line for line in uv("export", *arguments).splitlines() if line and line[0] not in "# "]
    return [line.partition("==")[0] for line in lines if "win32'" not in line or "!=" in line]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment that gets the wheel, and of other packages only those that it says it needs."""
    folder = tmp_path_factory.mktemp("shipped")
    uv("build", "--quiet", "--offline", "--out-dir", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("*.whl")
    assert list((folder / "dist").glob("*.tar.gz"))
    environment = folder / "opt" / "dragoman"
    uv("venv", "--quiet", "--offline", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    uv("pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel))
    (place,) = environment.glob("lib/python*/site-packages")
    for name in locked():
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another system or version of Python
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (place / top).exists():
                (place / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent == Path("/tmp") or parent.stat().st_mode & 0o005:
            break
        parent.chmod(0o755)
    return environment


@pytest.mark.failure(141)
def test_the_wheel_in_an_empty_environment(installed: Path) -> None:
    environ = clean_environment(installed.parent)  # without a PYTHONPATH that leads to the source
    done = subprocess.run(
        [installed / "bin" / "dragoman", "--version"], env=environ, capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout
    where = "import dragoman; print(dragoman.__file__)"
    found = subprocess.run(
        [installed / "bin" / "python", "-c", where], env=environ, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(installed))
    (wheel,) = (installed.parent.parent / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith(("tests", "bench")) or ".env" in name]
    assert not [name for name in names if name.endswith(".pth")]  # Python would run it at every start
    assert "dragoman/providers/presets.toml" in names


@contextlib.contextmanager
def contained(installed: Path, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The image's entry point: its command, environment and user, and a home that it cannot write."""
    folder = installed.parent.parent
    home = folder / "var"
    home.mkdir(exist_ok=True)
    home.chmod(0o555)
    user = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"] if os.geteuid() == 0 else []
    tried = subprocess.run(
        [*user, installed / "bin" / "dragoman", "--version"], cwd="/", capture_output=True, check=False
    )
    if tried.returncode:  # Python itself is in a folder of ours: the same without another user, and no home at all
        user, home = [], Path("/dev/null/home")
    errors = folder / "stderr"
    with errors.open("wb") as err:
        process = subprocess.Popen(
            [*user, installed / "bin" / "dragoman", "serve"],
            cwd="/",
            env={**clean_environment(home), "DRAGOMAN_HOST": "0.0.0.0", "DRAGOMAN_PORT": "0", **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
    try:
        yield process, errors
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.failure(156)
def test_the_entry_point_answers_and_ends_on_sigterm(installed: Path) -> None:
    with contained(installed, DRAGOMAN_AUTH_TOKEN="canary-token-of-the-test") as (process, errors):
        port = wait_for_url(process, errors).rpartition(":")[2]
        for path in ("/health", "/health/ready"):
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
            connection.request("GET", path)
            assert connection.getresponse().status == 200
            connection.close()
        check = json.loads(DOCKERFILE.partition("    CMD ")[2].splitlines()[0])
        assert subprocess.run([sys.executable, *check[1:]], env={"DRAGOMAN_PORT": port}, check=False).returncode == 0
        process.terminate()
        assert process.wait(leaving(Server())) == 0
    check_again = subprocess.run(
        [sys.executable, *check[1:]], env={"DRAGOMAN_PORT": port}, check=False, capture_output=True
    )
    assert check_again.returncode != 0


@pytest.mark.failure(138, 156)
def test_without_a_token_and_a_place_to_keep_one_it_does_not_start(installed: Path) -> None:
    with contained(installed) as (process, errors):
        assert process.wait(20) == 1
        assert "Set server.auth_token" in errors.read_text("utf-8")


@pytest.mark.failure(141, 156)
def test_dockerfile() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1  # an environment belongs to its Python
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", bases[0])
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)[0]) == ["dragoman"]
    assert json.loads(re.findall(r"^CMD (.*)$", last, re.MULTILINE)[0]) == ["serve"]
    assert "EXPOSE 4000 8082" in last
    assert "HEALTHCHECK" in last
    assert "curl" not in DOCKERFILE
    assert not re.search(r"^ADD|^COPY \.|:latest|(KEY|TOKEN|SECRET)=", DOCKERFILE, re.MULTILINE)
    syncs = re.findall(r"uv sync (.*)$", DOCKERFILE, re.MULTILINE)
    assert all("--locked" in sync for sync in syncs)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"uv=={re.findall(r'UV_VERSION := (.*)', makefile)[0]}" in DOCKERFILE


@pytest.mark.failure(141)
def test_what_is_installed_is_little_and_has_hashes() -> None:
    """A package that was changed after it was locked is not installed."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    for package in lock["package"]:
        if package["name"] == "dragoman":
            continue
        assert "registry" in package["source"], package["name"]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert files
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
    assert len(locked()) < 30
    assert "litellm" not in locked("--all-extras")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_lock_has_wheels_for_both_kinds_of_processor(machine: str) -> None:
    """So the image is built without a compiler, for which there is none in its base."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    wheels = {package["name"]: [wheel["url"] for wheel in package.get("wheels", ())] for package in lock["package"]}
    version = re.findall(r"^FROM python:(\d+)\.(\d+)", DOCKERFILE, re.MULTILINE)[0]
    python = rf"cp{''.join(version)}-cp{''.join(version)}|cp3\d+-abi3"
    fits = re.compile(rf"-(?:py[23.py]*-none-any|(?:{python}|py3-none)-[\w.]*manylinux[\w.]*_{machine})")
    names = [name for name in locked("--all-extras") if name != "dragoman"]
    assert len(names) > 20
    missing = [name for name in names if not any(fits.search(wheel) for wheel in wheels[name])]
    assert not missing, missing


def test_what_is_sent_to_the_builder_is_listed() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in sent)


def leaving(settings: Server) -> float:
    """Seconds that whatever starts dragoman must wait before it kills."""
    return settings.drain_delay + settings.drain_timeout + 10


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_compose() -> None:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    service = found["services"]["dragoman"]
    assert service["restart"] == "unless-stopped"
    assert service["env_file"][0]["path"] == ".env"
    assert service["ports"] == ["127.0.0.1:4000:4000"]
    assert service["environment"]["DRAGOMAN_PORT"] == "4000"
    assert seconds(service["stop_grace_period"]) >= leaving(Server())
    assert {mount.partition(":")[0] for mount in service["volumes"]} == set(found["volumes"])
    assert service["healthcheck"]["test"][:3] == ["CMD", "python", "-c"]
    assert "4000" in service["healthcheck"]["test"][3]
    compile(service["healthcheck"]["test"][3], "healthcheck", "exec")


def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "dragoman.yaml").read_text("utf-8"))
    return {document["kind"]: document for document in documents}


def test_manifests(tmp_path: Path) -> None:
    found = manifests()
    secret = yaml.safe_load((DEPLOY / "kubernetes" / "secret.example.yaml").read_text("utf-8"))
    assert all(value == "" for value in secret["stringData"].values())
    deployment = found["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["replicas"] == 3
    assert deployment["selector"]["matchLabels"] == labels == found["Service"]["spec"]["selector"]
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["PodDisruptionBudget"]["spec"]["minAvailable"] < deployment["replicas"]
    scale = found["HorizontalPodAutoscaler"]["spec"]
    assert scale["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    assert scale["minReplicas"] == deployment["replicas"]
    for probe, path in (("livenessProbe", "/health"), ("readinessProbe", "/health/ready")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
        assert path in OPEN
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    token = container["env"][0]["valueFrom"]["secretKeyRef"]
    assert token["name"] == secret["metadata"]["name"] == container["envFrom"][0]["secretRef"]["name"]
    assert token["key"] in secret["stringData"]
    assert not token.get("optional")
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["volumes"][0]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert container["volumeMounts"][0]["mountPath"] == "/etc/dragoman"
    assert "WORKDIR /etc/dragoman" in DOCKERFILE
    file = tmp_path / "dragoman.yaml"
    file.write_text(found["ConfigMap"]["data"]["dragoman.yaml"], "utf-8")
    environ = {"DRAGOMAN_AUTH_TOKEN": "canary-token-of-the-test", "OPENAI_API_KEY": "a-key-of-the-test"}
    config, _ = load(path=file, environ=environ, folder=tmp_path, home=tmp_path)
    assert config.server.port == container["ports"][0]["containerPort"]
    assert config.server.drain_delay > 0
    assert pod["terminationGracePeriodSeconds"] >= leaving(config.server)


def test_the_specification_of_the_app() -> None:
    found = yaml.safe_load((DEPLOY / "digitalocean.yaml").read_text("utf-8"))
    (service,) = found["services"]
    envs = {entry["key"]: entry for entry in service["envs"]}
    assert service["http_port"] == int(envs["DRAGOMAN_PORT"]["value"]) == 8000
    assert service["health_check"]["http_path"] in OPEN
    assert envs["DRAGOMAN_AUTH_TOKEN"]["type"] == envs["OPENAI_API_KEY"]["type"] == "SECRET"


def test_the_unit_of_systemd() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "dragoman.service", "utf-8")
    service = unit["Service"]
    assert service["ExecStart"] == "/opt/dragoman/bin/dragoman serve"
    assert service["DynamicUser"] == service["NoNewPrivileges"] == "yes"
    assert service["StateDirectory"] == service["ConfigurationDirectory"] == "dragoman"
    assert float(service["TimeoutStopSec"]) >= leaving(Server())
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize(("old", "new", "says"), [("", "", ""), ("KillMode=", "KilMode=", "Unknown key 'KilMode'")])
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path, old: str, new: str, says: str) -> None:
    """And notices one that it does not know. Another program stands in for the unit's, which is not installed here."""
    text = (DEPLOY / "dragoman.service").read_text("utf-8").replace("/opt/dragoman/bin/dragoman", sys.executable)
    file = tmp_path / "dragoman.service"
    file.write_text(text.replace(old, new), "utf-8")
    done = subprocess.run(
        [program("systemd-analyze"), "verify", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0 and not done.stderr) if not says else says in done.stderr, done.stderr
