"""What is said to a model in our own words."""

from dragoman.messages.instructions import reminder


def test_a_reminder_is_wrapped_once() -> None:
    once = reminder("Be brief.")
    assert once == "<system-reminder>\nBe brief.\n</system-reminder>"
    assert reminder(once) == once
