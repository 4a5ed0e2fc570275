"""Names of models: families, suffixes, and which entry they belong to."""

import pytest

from dragoman.config.names import Claude, Found, bare, claude, find


@pytest.mark.failure(112)
@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("claude-opus-4-8", "opus"),
        ("claude-opus-4-5@20251101", "opus"),
        ("claude-sonnet-4-5-20250929", "sonnet"),
        ("claude-3-5-haiku-20241022", "haiku"),
        ("claude-3-7-sonnet-latest", "sonnet"),
        ("claude-fable-5-2", "fable"),
        ("claude-mythos-preview", "mythos"),
        ("anthropic/claude-sonnet-4.5", "sonnet"),
        ("us.anthropic.claude-opus-4-6-v1:0", "opus"),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", "haiku"),
        ("Claude-Opus-5", "opus"),
        ("opus", "opus"),
        ("Haiku", "haiku"),
        ("claude-instant-1.2", ""),
        ("claude-7", ""),
        ("claude", ""),
    ],
)
def test_every_form_of_a_family(name: str, family: str) -> None:
    assert claude(name) == Claude(family)


@pytest.mark.parametrize(
    "name", ["gpt-5", "claudette", "my-claude-opus", "openrouter/anthropic/claude-opus-4", "opus-2"]
)
def test_names_that_are_not_claudes(name: str) -> None:
    assert claude(name) is None


def test_a_family_that_is_newer_than_the_table() -> None:
    assert claude("claude-saga-6-1", {"saga": ("a/b",)}) == Claude("saga")
    assert claude("claude-opus-6-fast", {"fast": ("a/b",)}) == Claude("opus")


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("claude-opus-4-8[1m]", "claude-opus-4-8"),
        ("claude-opus-4-8[1M]", "claude-opus-4-8"),
        ("claude/groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("claude/groq/x[1m]", "groq/x"),
        ("claude-opus", "claude-opus"),
        ("qwen3:8b", "qwen3:8b"),
    ],
)
def test_what_clients_put_around_a_name(name: str, left: str) -> None:
    assert bare(name) == left


MODELS = {
    "exact/name": ("x/1",),
    "lab/special": ("x/2",),
    "sonnet": ("x/s",),
    "claude-sonnet-5*": ("x/5",),
    "claude-*": ("x/c",),
    "haiku": ("x/h",),
    "gpt-*": ("x/g",),
    "gpt-4*": ("x/4",),
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("exact/name", Found("exact", key="exact/name")),
        ("lab/special", Found("exact", key="lab/special")),
        ("lab/other", Found("provider", provider="lab", model="other")),
        ("lab/a/b:c", Found("provider", provider="lab", model="a/b:c")),
        ("lab/", None),
        ("nowhere/x", None),
        ("gpt-4o", Found("pattern", key="gpt-*")),
        ("claude-sonnet-4-5", Found("family", key="sonnet")),
        ("claude-sonnet-5-5", Found("pattern", key="claude-sonnet-5*")),
        ("claude-opus-4-8", Found("pattern", key="claude-*")),
        ("claude-3-5-haiku-20241022", Found("pattern", key="claude-*")),
        ("haiku", Found("exact", key="haiku")),
        ("opus", Found("unmapped", key="sonnet")),
        ("llama", None),
    ],
)
def test_the_order(name: str, found: Found | None) -> None:
    assert find(name, MODELS, {"lab"}) == found


def test_an_unmapped_family_takes_sonnets_entry_else_the_first_that_is_mapped() -> None:
    assert find("claude-opus-5", {"haiku": ("a/b",), "sonnet": ("a/c",)}, ()) == Found("unmapped", key="sonnet")
    assert find("claude-7", {"haiku": ("a/b",), "opus": ("a/c",)}, ()) == Found("unmapped", key="opus")
    assert find("claude-7", {"fast": ("a/b",)}, ()) is None
