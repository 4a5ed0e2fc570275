"""`<think>` tags: the split does not depend on where the text is cut."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.chat.tags import ThinkTags

_TEXTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", ">", "/", "think", "a", " ", "\n", "<thin", "</", "é"]), max_size=12
).map("".join)


def split(*pieces: str) -> tuple[list[tuple[str, str]], bool]:
    """Neighbouring parts of one kind joined, as the writer does."""
    tags = ThinkTags()
    joined: list[tuple[str, str]] = []
    for kind, part in [part for piece in pieces for part in tags.feed(piece)] + tags.close():
        if joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + part)
        else:
            joined.append((kind, part))
    return joined, tags.unopened


@given(_TEXTS, st.integers(1, 4))
def test_any_cut_gives_the_same_parts(text: str, size: int) -> None:
    assert split(*(text[at : at + size] for at in range(0, len(text), size))) == split(text)


@given(_TEXTS)
def test_nothing_but_tags_and_the_space_after_them_is_lost(text: str) -> None:
    kept = "".join(part for _, part in split(text)[0])
    rest = text.lstrip().removeprefix("<think>") if text.lstrip().startswith("<think>") else text
    before, tag, after = rest.partition("</think>")
    assert kept == (before + after.lstrip() if tag else rest)
