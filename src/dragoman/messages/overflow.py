"""Context overflow: every way servers say it, and the words that Claude Code understands.

Claude Code compacts the conversation when the message says `prompt is too long`, and lowers `max_tokens` by itself on
``input length and `max_tokens` exceed context limit: A + B > C``; with any other text a session is stuck
(seen with 2.1.329).
"""

import re
from typing import Any

from msgspec import Struct

from dragoman.messages.errors import ApiError
from dragoman.messages.events import Usage

_ROOM = 1000  # tokens that Claude Code keeps free when it lowers max_tokens


class Asked(Struct, frozen=True, kw_only=True):
    """Who was asked, as far as the text of an error needs it."""

    provider: str
    model: str  # what the upstream calls it
    key: str | None = None  # name of the key
    context: int | None = None  # tokens of its window
    input_tokens: int = 0  # an estimate of the prompt
    google: bool = False  # whether Google's own credentials sign the call, and no key


# used: input or all; limit: the window; input and output: the two parts of the sum.
NUMBERS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # OpenAI, DeepSeek, OpenRouter, older vLLM
        (
            r"maximum context length is (?P<limit>N) tokens.{0,40}?(?:requested|resulted in) (?:about )?(?P<used>N)"
            r" tokens \((?P<input>N) (?:in the messages|of text input|in your prompt)[^)]*?"
            r"(?P<output>N) (?:in the completion|for the completion|in the output)\)"
        ),
        # vLLM: 'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is ...
        (
            r"is too large: (?P<output>N)\. This model's maximum context length is (?P<limit>N) tokens and your request"
            r" has (?P<input>N) input tokens"
        ),
        # SGLang
        (
            r"maximum context length of (?P<limit>N) tokens\. You requested a total of (?P<used>N) tokens:"
            r" (?P<input>N) tokens from the input messages and (?P<output>N) tokens for the completion"
        ),
        # Anthropic, Copilot (without backticks)
        r"input length and `?max_tokens`? exceed context limit: (?P<input>N) \+ (?P<output>N) > (?P<limit>N)",
        # Together, TGI
        r"must be <= (?P<limit>N)\. Given: (?P<input>N) `inputs` tokens and (?P<output>N) `max_new_tokens`",
        (
            r"maximum context length is (?P<limit>N) tokens.{0,40}?(?:requested|resulted in|request has) (?:about )?"
            r"(?P<used>N) (?:input )?tokens"
        ),
        r"\(?(?P<used>N) tokens\)? is longer than the model's context length \(?(?P<limit>N) tokens",  # SGLang, NIM
        r"prompt is too long: (?P<used>N)(?: tokens > |, model maximum context length: )(?P<limit>N)",  # also Fireworks
        r"prompt too long: (?P<used>N) tokens exceeds max context window of (?P<limit>N)",  # omlx
        r"prompt token count of (?P<used>N) exceeds the limit of (?P<limit>N)",  # Copilot
        r"\((?P<used>N) tokens\) exceeds the available context size \((?P<limit>N) tokens\)",  # llama.cpp
        r"requested tokens \((?P<used>N)\) exceed context window of (?P<limit>N)",  # llama-cpp-python
        r"input token count \(?(?:of )?(?P<used>N)\)? exceeds the maximum number of tokens allowed \(?(?P<limit>N)",
        r"input token count is (?P<used>N) but (?:the )?model only supports up to (?P<limit>N)",  # Vertex AI
        r"input token count exceeds the maximum number of tokens allowed \(?(?P<limit>N)",
        r"configured limit of (?P<limit>N) tokens\. Your messages resulted in (?P<used>N) tokens",  # OpenAI
        r"current length is (?P<used>N) while limit is (?P<limit>N)",  # Cerebras
        r"prompt contains (?P<used>N) tokens.{0,60}?too large for model with (?P<limit>N) maximum",  # Mistral
        r"maximum prompt length is (?P<limit>N) but the request contains (?P<used>N) tokens",  # xAI
        r"model token limit: (?P<limit>N) \(requested: (?P<used>N)\)",  # Moonshot
        r"tokens per min(?:ute)? \(TPM\): Limit (?P<limit>N), Requested (?P<used>N)",  # Groq, OpenAI
        r"maximum context length (?:is|of) (?P<limit>N)",
        r"range of input length should be \[\d+, (?P<limit>N)\]",  # DashScope
        r"model token limit: (?P<limit>N)",
        r"context window of (?P<limit>N)",
    )
    for pattern in (pattern.replace("N)", r"\d[\d,]*)"),)
)

# Texts and codes that mean it, with or without numbers.
SAYS = re.compile(
    r"maximum context length|context_length_exceeded|context length exceeded|prompt is too long|prompt too long"
    r"|input length and `?max_tokens`? exceed|max_prompt_tokens_exceeded|prompt token count of"
    r"|longer than the model's context length|input is too long|content_length_exceeds_threshold"
    r"|contextwindowexceedederror|exceed_context_size|exceeds? the available context size|exceed context window"
    r"|context window exceeds limit|exceeds? (?:the |your )?(?:model'?s? )?context window"
    r"|exceeds the context window|input token count.{0,40}(?:exceeds|but (?:the )?model only)|input tokens exceed"
    r"|prompt exceeds max length"
    r"|must be <= \d+\. given: \d+ `inputs`|too large for model with \d+ maximum|maximum prompt length"
    r"|exceeded model token limit|range of input length should be|reduce the length of the (?:messages|input|prompt)"
    r"|too many tokens: size limit exceeded",
    re.IGNORECASE | re.DOTALL,
)

# One request over the tokens of a whole minute can never be served: only a shorter prompt helps.
_OVER_MINUTE = re.compile(r"request too large.{0,200}tokens per min", re.IGNORECASE | re.DOTALL)
_CODES = frozenset({"1261"})  # Z.AI: prompt exceeds max length


def overflow(text: str, body: Any, asked: Asked) -> str | None:
    """Our message for an error that says the context overflowed, in whatever words; None for any other error."""
    fields = body if isinstance(body, dict) else {}
    codes = " ".join(str(fields.get(name))[:200] for name in ("code", "type", "reason") if fields.get(name))
    text = text[:10_000]
    told = SAYS.search(text) or SAYS.search(codes) or _OVER_MINUTE.search(text)
    if not told and str(fields.get("code")) not in _CODES:
        return None
    numbers = _numbers(text)
    for name, field in (("used", "n_prompt_tokens"), ("limit", "n_ctx")):  # llama.cpp
        if isinstance(fields.get(field), int):
            numbers.setdefault(name, fields[field])
    return message(numbers, asked)


def _numbers(text: str) -> dict[str, int]:
    for pattern in NUMBERS:
        found = pattern.search(text)
        if found:
            return {name: int(number.replace(",", "")[:12]) for name, number in found.groupdict().items() if number}
    return {}


def refuse_unsaid(asked: Asked) -> None:
    """For a server that says nothing at all: raises ApiError("context_overflow") when the prompt is over the window."""
    if asked.context is not None and asked.input_tokens > asked.context:
        raise ApiError("context_overflow", message({}, asked))


def is_full(usage: Usage | None, asked: Asked, *, silent_window: int = 0) -> bool:
    """Whether prompt and answer fill the window, or exactly the one that a server takes when it was told none."""
    if usage is None:
        return False
    total = _prompt(usage) + usage.output_tokens
    return (asked.context is not None and total >= asked.context) or 0 < silent_window == total


def was_cut(usage: Usage | None, asked: Asked) -> bool:
    """Whether a server that cuts long prompts off counted so little that it must have read a part only.

    Less than half of the estimate: tokens of other models are other ones, but not twice as long.
    """
    return usage is not None and 0 < 2 * _prompt(usage) < asked.input_tokens


def _prompt(usage: Usage) -> int:
    return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens


def message(numbers: dict[str, int], asked: Asked) -> str:
    """The words for what is known: used, limit, input, output, in tokens."""
    place = f"{asked.provider}/{asked.model}"
    limit = numbers.get("limit") or asked.context
    given, output = numbers.get("input"), numbers.get("output")
    if output and numbers.get("used"):  # tools may be counted beside the text
        given = numbers["used"] - output
    if limit and given and output and given + output > limit:
        if given + _ROOM < limit:
            return (
                f"input length and `max_tokens` exceed context limit: {given} + {output} > {limit}, "
                f"decrease input length or `max_tokens` and try again ({place})"
            )
        numbers = {**numbers, "used": given if given > limit else given + output}
    used = numbers.get("used") or given
    if limit and not used and asked.input_tokens > limit:
        used = asked.input_tokens
    if limit and used:
        return f"prompt is too long: {used} tokens > {limit} maximum ({place})"
    if limit:
        return f"prompt is too long: more tokens than the {limit} maximum ({place})"
    return f"prompt is too long for {place}: shorten the conversation"
