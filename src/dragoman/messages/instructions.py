"""What is said to a model in our own words, the same in every language."""

CONTINUE = "Continue your last message exactly where it ends. Do not repeat any of it, and do not comment on this."
"""In place of a turn that begins the answer, for models that do not go on with one."""

_REMINDER = "<system-reminder>"


def reminder(said: str) -> str:
    """A system turn as text of the caller, in the tag that Claude Code uses for its own reminders.

    https://code.claude.com/docs/en/llm-gateway-protocol
    """
    return said if said.startswith(_REMINDER) else f"{_REMINDER}\n{said}\n</system-reminder>"
