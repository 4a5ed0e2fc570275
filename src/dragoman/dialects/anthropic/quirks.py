"""How servers of the Messages language differ: typed, named, each with the report that made it necessary.

The defaults are Anthropic's own: nothing is changed.
"""

from typing import Literal

from msgspec import Struct


class Quirks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Differences between servers. A docstring under each field says what it does and why it exists."""

    strip: tuple[str, ...] = ()
    """Fields of the body that the server refuses, left out with a note: names at its top ("context_management"), paths
    into objects ("output_config.effort"), and `*` for every entry of a list ("tools.*.strict").
    https://docs.litellm.ai/docs/anthropic_unified"""

    betas: Literal["all", "none"] | tuple[str, ...] = "all"
    """Which values of `anthropic-beta` go on: all, none, or those that are listed. Others refuse what they do not know.
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html"""

    thinking: Literal["adaptive", "enabled", "both"] = "both"
    """Forms of `thinking` that the server takes; the other form is put into it with a note."""

    mid_system: Literal["keep", "fold"] = "keep"
    """Whether system turns inside the conversation go on as they are, or folded into the user turns beside them."""

    signatures: Literal["anthropic", "own"] = "anthropic"
    """Whose thinking goes back: `anthropic` refuses what it did not sign; `own`: the server takes any signature."""

    thinking_history: Literal["keep", "drop"] = "keep"
    """Whether thinking of earlier turns goes back at all. `drop` is what is tried after a refusal of its signatures.
    https://github.com/router-for-me/CLIProxyAPI/issues/1584"""

    repairs: Literal["signatures", "fields"] = "signatures"
    """What is mended when the server refuses it: thinking of earlier turns only, since clients mend the rest by the
    words of Anthropic; or every field that a refusal names, too, for servers that do not know all of Anthropic's.
    https://code.claude.com/docs/en/llm-gateway-protocol"""

    cache_ttl: bool = True
    """Whether `cache_control.ttl` is taken. https://github.com/BerriAI/litellm/issues/39355"""

    counts: bool = True
    """Whether the server has `/v1/messages/count_tokens`."""

    messages_path: str = "/v1/messages"
    """Appended to the base URL."""

    form: Literal["messages", "vertex"] = "messages"
    """`vertex`: the model stands in the URL (`:rawPredict`, `:streamRawPredict`) and the version in the body.
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude"""

    extra_body: dict[str, bool | int | float | str | list[str] | dict[str, bool | int | float | str] | None] = {}
    """Fields added to every body as they are; they win over a field of the same name."""
