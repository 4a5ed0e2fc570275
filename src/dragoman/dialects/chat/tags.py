"""`<think>` tags in text, as raw local models write them: splits the text into reasoning and answer."""

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"

Part = tuple[Literal["thinking", "text"], str]


class ThinkTags:
    """Splits text that arrives in pieces; the result does not depend on how it is cut, apart from the pieces' number.

    Reasoning is what stands between a `<think>` that comes first and the next `</think>`. Chat templates that write the
    opening tag into the prompt leave a lone `</think>` in the answer: it is removed, once.
    https://github.com/sgl-project/sglang/pull/8149
    """

    def __init__(self) -> None:
        self.unopened = False  # a `</think>` came without its opening tag, after text that was already shown
        self._mode: Literal["start", "thinking", "gap", "text", "plain"] = "start"
        self._held = ""
        self._shown = False

    def feed(self, text: str) -> list[Part]:
        if self._mode == "plain":
            return [("text", text)]
        text, self._held = self._held + text, ""
        parts: list[Part] = []
        while text:
            text = self._step(text, parts)
        return parts

    def close(self) -> list[Part]:
        """What was held back as the beginning of a tag."""
        text, self._held = self._held, ""
        return [("thinking" if self._mode == "thinking" else "text", text)] if text else []

    def _step(self, text: str, parts: list[Part]) -> str:
        """Reads some of `text` and returns the rest to be read; what may become a tag is held."""
        if self._mode == "start":
            return self._begin(text)
        if self._mode == "gap":  # the line breaks after the tag belong to the tag
            self._mode = "plain" if text.lstrip() else "gap"
            return text.lstrip()
        if self._mode == "plain":
            parts.append(("text", text))
            return ""
        kind: Literal["thinking", "text"] = "thinking" if self._mode == "thinking" else "text"
        before, tag, after = text.partition(CLOSE)
        if tag:
            self.unopened = kind == "text" and (self._shown or bool(before.strip()))
            self._mode = "gap"
        else:
            before, self._held = _split(text, CLOSE)
        if before:
            self._shown = self._shown or not before.isspace()
            parts.append((kind, before))
        return after

    def _begin(self, text: str) -> str:
        first = text.lstrip()
        if first.startswith(OPEN):
            self._mode = "thinking"
            return first[len(OPEN) :]
        if OPEN.startswith(first):  # also while there is nothing but white space
            self._held = text
            return ""
        self._mode = "text"
        return text


def _split(text: str, tag: str) -> tuple[str, str]:
    """`text` before a possible beginning of `tag` at its end, and that beginning."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:]):
            return text[:-length], text[-length:]
    return text, ""
