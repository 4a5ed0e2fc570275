"""Notes, and what of them goes into the response header."""

from dragoman.messages.notes import Note, header


def test_the_header_names_losses_and_changes_once() -> None:
    notes = [
        Note("changed", "system.folded", "messages.1"),
        Note("ignored", "text.empty", "messages.0.content.0"),
        Note("lost", "citations.unsupported"),
        Note("changed", "system.folded", "messages.5"),
    ]
    assert header(notes) == "system.folded,citations.unsupported"
    assert header(tuple(reversed(notes))) == "system.folded,citations.unsupported"
    assert header([]) == ""


def test_a_code_that_is_lost_here_and_ignored_there_is_named() -> None:
    assert header([Note("ignored", "a"), Note("lost", "a", "messages.0")]) == "a"


def test_notes_are_values() -> None:
    one = Note("lost", "top_k.unsupported")
    assert one == Note("lost", "top_k.unsupported", "")
    assert len({one, Note("lost", "top_k.unsupported", "top_k")}) == 2
    assert min([Note("lost", "b"), Note("changed", "z"), Note("lost", "a")]).grade == "changed"
