"""Stop sequences, matched on the text of an answer while it streams.

Upstreams cut the sequence away and mostly do not say which one it was, so all are matched here.
https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

import re
from collections.abc import Sequence


class StopMatcher:
    """Finds the first stop sequence in a text that arrives in pieces.

    The earliest start wins; among sequences with the same start, the first in the caller's list. The result does not
    depend on how the text is cut.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        """`sequences`: as the caller gave them; empty ones can never match and are ignored."""
        self.matched: str | None = None  # the sequence that was found, by `feed` or by `flush`
        self._held = ""
        self._sequences = tuple(dict.fromkeys(sequence for sequence in sequences if sequence))
        self._longest = max(map(len, self._sequences), default=0)
        # An alternation tries its branches in order, which is the caller's order at one start.
        self._whole = re.compile("|".join(map(re.escape, self._sequences)))
        self._start = re.compile("|".join(re.escape(first) for first in {one[0]: None for one in self._sequences}))

    def feed(self, text: str) -> tuple[str, str | None]:
        """What can be shown now, and the matched sequence, if any.

        The match and all after it is dropped; once there is a match, every further piece is. A tail that may become a
        match is held back.
        """
        if not self._sequences:
            return text, None
        if self.matched is not None:
            return "", self.matched
        if self._held:
            text, self._held = self._held + text, ""
        found = self._whole.search(text)
        open_at = self._open_at(text, found)
        if open_at is not None:
            self._held = text[open_at:]
            return text[:open_at], None
        if found is None:
            return text, None
        self.matched = found[0]
        return text[: found.start()], self.matched

    def flush(self) -> str:
        """What is held, at the end of a text block or of the message; nothing is held afterwards.

        `matched` is set when the held text holds a whole sequence that only waited for a longer one before it in the
        list, or for one that began earlier.
        """
        text, self._held = self._held, ""
        found = self._whole.search(text) if text else None
        if found is None:
            return text
        self.matched = found[0]
        return text[: found.start()]

    def _open_at(self, text: str, found: re.Match[str] | None) -> int | None:
        """Where a sequence begins that may still be completed, and that would win over `found`."""
        end = len(text)
        for mark in self._start.finditer(text, max(0, end - self._longest + 1)):
            at = mark.start()
            if found is not None and at > found.start():
                return None
            tail = text[at:]
            for sequence in self._sequences:
                if found is not None and at == found.start() and sequence == found[0]:
                    break  # the rest of the list loses against what is there
                if len(sequence) > end - at and sequence.startswith(tail):
                    return at
        return None
