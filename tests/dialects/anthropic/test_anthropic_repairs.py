"""A 400 that names what the server cannot take."""

import json
from typing import Any

import pytest

from dialects.anthropic.asking_messages import OWN_SERVER, called, target
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Repair, Target

LOST = [
    "messages.3.content.0: Invalid `signature` in `thinking` block",
    "messages.1.content.0: Invalid `signature` in `redacted_thinking` block",
    "messages.5.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.",
    (
        "messages.5.content.1: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be "
        "modified. These blocks must remain as they were in the original response."
    ),
    (
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking`"
        " is enabled, a final `assistant` message must start with a thinking block"
    ),
    "messages.1.content.0.thinking.signature: Field required",
    "messages.1.content.0.thinking: each thinking block must contain thinking",
    (
        "messages.1.content.0: When thinking is disabled, an `assistant` message in the final position cannot contain "
        "`thinking`."
    ),
]


def offered(said: str, to: Target | None = None, status: int = 400) -> Repair | None:
    call = called(to or target())
    envelope = {"type": "error", "error": {"type": "invalid_request_error", "message": said}}
    error = ANTHROPIC.error(status, {}, json.dumps(envelope).encode(), call)
    error.upstream_status = status
    return ANTHROPIC.repair(call, error)


def quirks(said: str, **own: Any) -> tuple[str, Quirks]:
    repair = offered(said, target(**{**OWN_SERVER, **own}))
    assert repair is not None
    assert repair.lasting
    return repair.code, repair.target.quirks


@pytest.mark.failure(68)
@pytest.mark.parametrize("said", LOST)
@pytest.mark.parametrize("own", [{}, OWN_SERVER])
def test_thinking_is_dropped_once_for_this_conversation(said: str, own: dict[str, Any]) -> None:
    repair = offered(said, target(**own))
    assert repair is not None
    assert (repair.code, repair.lasting) == ("thinking_dropped", False)
    assert repair.target == target(**own, thinking_history="drop")
    assert offered(said, repair.target) is None


FIELDS = [
    ("context_management: Extra inputs are not permitted", "context_management"),
    ("tools.0.custom.strict: Extra inputs are not permitted", "tools.*.strict"),
    ("tools.12.bash_20250124.defer_loading: Extra inputs are not permitted", "tools.*.defer_loading"),
    ("tools.0.input_examples: Extra inputs are not permitted", "tools.*.input_examples"),
    ("output_config.effort: Extra inputs are not permitted", "output_config.effort"),
    (
        "messages.0.content.1.tool_result.content.0.text.citations: Extra inputs are not permitted",
        "messages.*.content.*.content.*.citations",
    ),
    ("[{'loc': 'metadata', 'msg': 'metadata: extra fields not permitted'}]", "metadata"),
    ("Unknown parameter: 'output_config'.", "output_config"),
    ("The field service_tier is not supported", "service_tier"),
    ("tools: defer_loading is not supported", "tools.*.defer_loading"),
    ("This model does not support thinking", "thinking"),
]


@pytest.mark.failure(34, 38)
@pytest.mark.parametrize(("said", "path"), FIELDS)
def test_other_servers_get_no_field_that_they_refuse(said: str, path: str) -> None:
    assert quirks(said) == (f"strip:{path}", Quirks(**OWN_SERVER, strip=(path,)))
    assert quirks(said, strip=("x",))[1].strip == ("x", path)
    assert offered(said) is None  # at Anthropic clients mend it by its words


@pytest.mark.failure(37, 39)
@pytest.mark.parametrize(
    ("said", "code", "change"),
    [
        ("Unexpected value(s) `x-2026` for the `anthropic-beta` header", "betas", {"betas": "none"}),
        ("invalid beta flag", "betas", {"betas": "none"}),
        ("`cache_control.ttl: 1h` is not supported", "cache_ttl", {"cache_ttl": False}),
        ("system.0.cache_control.ephemeral.ttl: Extra inputs are not permitted", "cache_ttl", {"cache_ttl": False}),
        ("messages.1.role: Input should be 'user' or 'assistant'", "mid_system", {"mid_system": "fold"}),
        ("role 'system' is not supported on this model", "mid_system", {"mid_system": "fold"}),
        (
            "thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags: 'enabled'",
            "thinking_form",
            {"thinking": "enabled"},
        ),
        ('"thinking.type.enabled" is not supported for this model.', "thinking_form", {"thinking": "adaptive"}),
        ("adaptive thinking is not supported on this model", "thinking_form", {"thinking": "enabled"}),
    ],
)
def test_other_changes(said: str, code: str, change: dict[str, Any]) -> None:
    assert quirks(said) == (code, Quirks(**OWN_SERVER, **change))
    assert offered(said) is None


@pytest.mark.parametrize(
    "said",
    [
        "prompt is too long: 300000 tokens > 200000 maximum",
        "messages: Extra inputs are not permitted",
        "messages.0.content.1: Extra inputs are not permitted",
        "messages.0.content.0.text.text: Extra inputs are not permitted",
        "tools.0.custom.name: String should match pattern",
        "anthropic-beta is a header",
        "thinking takes long",
        "the adaptive mode is not supported",
        "nobody knows",
    ],
)
def test_what_nobody_can_mend(said: str) -> None:
    assert offered(said, target(**OWN_SERVER)) is None


def test_a_second_refusal_of_the_same_is_told() -> None:
    assert (
        offered(
            "context_management: Extra inputs are not permitted", target(**OWN_SERVER, strip=("context_management",))
        )
        is None
    )
    assert offered("invalid beta flag", target(**OWN_SERVER, betas="none")) is None


@pytest.mark.parametrize("status", [401, 429, 503, 529])
def test_only_a_refusal_of_the_form_is_mended(status: int) -> None:
    assert offered(LOST[0], status=status) is None
