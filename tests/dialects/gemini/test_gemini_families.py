"""Every family of Gemini's models, with the facts and presets that are shipped: no body that Google would refuse."""

import json
from pathlib import Path

import msgspec
import pytest

from clients.gemini_rules import check
from clients.responses_rules import Json, Refused
from dragoman.config import load
from dragoman.dialects.contract import Target
from dragoman.dialects.gemini.request import call, count
from dragoman.messages.errors import ApiError
from dragoman.messages.request import decode
from dragoman.routing.router import Router
from features import FEATURES, TOOL, body

CASES = Path(__file__).parents[2] / "cases" / "requests"
MODELS = (
    "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro", "gemini-3-pro-preview",
    "gemini-3-flash-preview", "gemini-3.1-pro-preview", "gemini-3.1-flash-lite", "gemini-3.5-flash",
    "gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-4-argon",
)  # fmt: skip
EFFORTS = (None, "low", "medium", "high", "xhigh", "max")
THINKING: tuple[Json | None, ...] = (
    None,
    {"type": "disabled"},
    {"type": "adaptive"},
    {"type": "adaptive", "display": "omitted"},
    *({"type": "enabled", "budget_tokens": budget} for budget in (1024, 4000, 31_999, 60_000)),
)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    folder = tmp_path_factory.mktemp("families")
    (folder / "dragoman.yaml").write_text("providers: {gemini: {api_key: k}, vertex: {project: p}}", "utf-8")
    return Router(load(path=None, environ={}, folder=folder, home=folder)[0])


def bodies() -> list[tuple[str, Json]]:
    """What clients ask for, one after another, each with its name."""
    found = [(title, body(title)) for title in FEATURES]
    found += [
        (path.name, json.loads(path.read_bytes())) for path in sorted(CASES.glob("*.json")) if "golden" not in path.name
    ]
    for thinking in THINKING:
        for effort in EFFORTS:
            for most in (1, 100, 64_000, 200_000):
                asked: Json = {"max_tokens": most, "messages": [{"role": "user", "content": "Hi"}], "tools": [TOOL]}
                asked |= {"thinking": thinking} if thinking else {}
                asked |= {"output_config": {"effort": effort}} if effort else {}
                found.append((f"{thinking}, {effort}, {most}", asked))
    return found


def wrong(name: str, asked: Json, target: Target) -> str | None:
    """What Google would say against the body; None when nothing. Raises ApiError for what we refuse ourselves."""
    request = decode(msgspec.json.encode({"model": "m", **asked}))
    vertex = target.provider == "vertex"
    shape = "Vertex" if vertex else "Studio"
    for made, form in ((call(request, target), shape), (count(request, target), f"{shape}Count")):
        try:
            check(json.loads(made.body), target.model, shape=form, urls=vertex)
        except Refused as refused:
            return f"{name}, {form}: {refused}"
    return None


@pytest.mark.failure(29, 32, 45, 46, 48, 52)
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
@pytest.mark.parametrize("model", MODELS)
def test_no_body_is_refused(router: Router, provider: str, model: str) -> None:
    target = router.route(f"{provider}/{model}").targets[0]
    found: list[str] = []
    ours: list[int] = []
    for name, asked in bodies():
        try:
            problem = wrong(name, asked, target)
        except ApiError as error:
            ours.append(error.status)
        else:
            found += [problem] if problem else []
    assert not found, "\n".join(found)
    assert set(ours) == {400}
    assert len(ours) < 12
