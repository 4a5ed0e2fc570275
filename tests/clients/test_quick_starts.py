"""The examples of the quick start, copied from the pages and run against the demo."""

import subprocess
from pathlib import Path

import pytest

from clients.conftest import clean_environment, client, program
from deploy.documentation import blocks


def here(text: str, gateway: str) -> str:
    assert "http://127.0.0.1:8082" in text
    return text.replace("http://127.0.0.1:8082", gateway)


@pytest.mark.parametrize("number", range(len(blocks("start/python.md", "python"))))
def test_the_python_of_the_quick_start_runs(number: int, demo: str, tmp_path: Path) -> None:
    text = here(blocks("start/python.md", "python")[number], demo)
    answered([str(client("python-2", "bin", "python")), "-c", text], tmp_path)


@pytest.mark.parametrize("number", range(len(blocks("start/typescript.md", "js"))))
def test_the_typescript_of_the_quick_start_runs(number: int, demo: str, tmp_path: Path) -> None:
    modules = client("node", "node_modules")
    (tmp_path / "node_modules").symlink_to(modules)
    file = tmp_path / "quick.mjs"
    file.write_text(here(blocks("start/typescript.md", "js")[number], demo), "utf-8")
    answered([program("node"), str(file)], tmp_path)


@pytest.mark.parametrize("page", ["start/curl.md", "start/index.md"])
def test_the_curl_of_the_quick_start_runs(page: str, demo: str, tmp_path: Path) -> None:
    program("curl")
    found = [text for text in blocks(page, "sh") if text.startswith("curl")]
    assert found
    for text in found:
        said = answered([program("sh"), "-ec", here(text, demo)], tmp_path)
        assert '"error"' not in said


def answered(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, env=clean_environment(folder), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done.stdout
