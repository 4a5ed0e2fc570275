"""Every family of Claude's models, as shipped: what one of them takes, none of the others refuses behind an alias."""

import json
from itertools import product
from pathlib import Path

import pytest

from clients.claude_rules import check
from clients.responses_rules import Json, Refused
from dragoman.config import load
from dragoman.dialects.anthropic.request import call
from dragoman.messages.request import Request
from dragoman.routing.router import Router
from features import FEATURES, body

CASES = Path(__file__).parents[2] / "cases" / "requests"
MODELS = (
    "claude-haiku-4-5-20251001", "claude-sonnet-4-5", "claude-opus-4-5", "claude-sonnet-4-6", "claude-opus-4-6",
    "claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5", "claude-opus-5", "claude-fable-5", "claude-mythos-preview",
    "claude-fable-5-1", "claude-mythos-5-1", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5",
)  # fmt: skip
BETAS = ("context-management-2025-06-27", "interleaved-thinking-2025-05-14")
TOOL: Json = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
HI: Json = {"role": "user", "content": "Hi"}
RESULT: Json = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}
CLEAR: Json = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
TOOL_USES: Json = {"edits": [CLEAR["edits"][0], {"type": "clear_tool_uses_20250919"}]}

THINKING: tuple[Json | None, ...] = (
    None,
    {"type": "disabled"},
    {"type": "between_tools"},
    {"type": "adaptive"},
    {"type": "adaptive", "display": "omitted"},
    {"type": "enabled", "budget_tokens": 1024},
    {"type": "enabled", "budget_tokens": 31_999, "display": "summarized"},
)
EFFORTS = (None, "low", "high", "xhigh", "max")
TURNS: dict[str, list[Json]] = {
    "question": [HI],
    "begun answer": [HI, {"role": "assistant", "content": "Once upon"}],
    "loop without thinking": [HI, {"role": "assistant", "content": [CALL]}, RESULT],
    "system turn": [HI, {"role": "system", "content": "Hurry."}],
    "system turn behind results": [
        HI,
        {"role": "assistant", "content": [CALL]},
        RESULT,
        {"role": "system", "content": "a"},
    ],
}
MORE: dict[str, Json] = {
    "nothing": {},
    "temperature": {"temperature": 0.3},
    "top_k": {"top_k": 5, "top_p": 0.9},
    "temperature 1": {"temperature": 1},
    "any": {"tool_choice": {"type": "any"}},
    "tool": {"tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True}},
    "clear": {"context_management": CLEAR},
    "clear more": {"context_management": TOOL_USES},
}


def written() -> list[Json]:
    """What clients ask for; some of it behind thinking and searches of other vendors."""
    found = [body(title) for title in FEATURES]
    return found + [json.loads(path.read_bytes()) for path in CASES.glob("*.json") if "golden" not in path.name]


def knobs() -> list[Json]:
    """Every knob beside every other."""
    found = []
    for thinking, effort, turns, more, most in product(THINKING, EFFORTS, TURNS, MORE, (1000, 40_000, 128_000)):
        asked: Json = {"model": "m", "max_tokens": most, "messages": TURNS[turns], "tools": [TOOL], **MORE[more]}
        asked |= {"thinking": thinking} if thinking else {}
        asked |= {"output_config": {"effort": effort}} if effort else {}
        found.append(asked)
    return found


def takes(asked: Json, model: str) -> str | None:
    """None, or what the model refuses."""
    try:
        check({**asked, "model": model}, betas=BETAS)
    except Refused as refused:
        return refused.message
    return None


def valid(bodies: list[Json]) -> list[Json]:
    """Those that some model takes as they are."""
    return [asked for asked in bodies if any(takes(asked, model) is None for model in MODELS)]


@pytest.fixture(scope="module")
def turned() -> list[Json]:
    return valid(knobs())


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    folder = tmp_path_factory.mktemp("families")
    (folder / "dragoman.yaml").write_text("providers: {anthropic: {api_key: k}}", "utf-8")
    return Router(load(path=None, environ={}, folder=folder, home=folder)[0])


def made(router: Router, asked: Json, model: str) -> Json:
    """The body for this model, behind an alias."""
    request = Request(json.dumps(asked).encode(), betas=BETAS, version="2023-06-01")
    found: Json = json.loads(call(request, router.route(f"anthropic/{model}").targets[0]).body)
    return found


@pytest.mark.failure(4, 8, 38, 170)
@pytest.mark.parametrize("model", MODELS)
def test_what_one_takes_none_refuses(router: Router, turned: list[Json], model: str) -> None:
    wrong: dict[str, Json] = {}
    for asked in [*valid(written()), *turned]:
        if refused := takes(made(router, asked, model), model):
            wrong.setdefault(refused, asked)
    assert not wrong


@pytest.mark.failure(69)
@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_takes_stays_as_it_is(router: Router, turned: list[Json], model: str) -> None:
    """But for sampling as it usually is, which the newer version refuses."""
    for asked in turned:
        if takes(asked, model) is None and asked.get("temperature") != 1:
            assert made(router, asked, model) == {**asked, "model": model}
