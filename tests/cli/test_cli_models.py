"""`dragoman models`."""

from pathlib import Path

import pytest

from cli.conftest import Run


@pytest.mark.failure(44, 134)
def test_names_targets_and_reasons(run: Run, folder: Path) -> None:
    (folder / "dragoman.yaml").write_text(
        "providers:\n  lab: {dialect: chat, base_url: 'http://127.0.0.1:9/v1'}\n"
        "models:\n  sonnet: lab/large\n  haiku: [lab/small, lab/large]\n",
        "utf-8",
    )
    result = run("models")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert any(line.startswith("sonnet -> lab/large") for line in lines)
    assert any(line.startswith("haiku -> lab/small, then lab/large") for line in lines)
    assert any(line.startswith("opus -> lab/large") for line in lines)
    assert "lab/<model>" in result.output


def test_nothing_configured_says_that_it_is_simulated(run: Run) -> None:
    result = run("models")
    assert result.exit_code == 0
    assert "demo/" in result.output
    assert "simulated" in result.output


def test_a_provider_without_key(run: Run, folder: Path) -> None:
    (folder / "dragoman.yaml").write_text("providers: {deepseek: {}}\nmodels: {sonnet: deepseek/x}\n", "utf-8")
    result = run("models")
    assert "nowhere" in result.output
    assert "DEEPSEEK_API_KEY" in result.output
    assert "no provider is ready" in result.output
