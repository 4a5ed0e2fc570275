"""A whole completion as nearly all are: text, calls or both, at a usual end.

Everything else is played by the reader, as a stream would be.
"""

from dragoman.dialects.chat.calls import written
from dragoman.dialects.chat.wire import Choice, Delta
from dragoman.messages.writer import MessageWriter

_REASONS = ("stop", "tool_calls", "length")


def play(choice: Choice, message: Delta, writer: MessageWriter) -> bool:
    """Plays blocks that are there whole. False where there is more to it; then nothing is played."""
    content = message.content
    if (
        not (content is None or type(content) is str)
        or choice.finish_reason not in _REASONS
        or choice.stop_reason is not None
        or choice.usage is not None
        or choice.error
        or message.reasoning_content
        or message.reasoning
        or message.reasoning_details
        or message.thinking_blocks
        or message.refusal
        or message.annotations
        or message.function_call is not None
    ):
        return False
    calls: list[tuple[str, str | None, str]] = []
    for piece in message.tool_calls or ():
        function = piece.function
        if function is None or not function.name or piece.extra_content:
            return False
        calls.append((function.name, piece.id or None, written(function.arguments)))
    if content:
        writer.whole_text(content)
    for name, call_id, arguments in calls:
        writer.whole_call(name, call_id, arguments)
    return True
