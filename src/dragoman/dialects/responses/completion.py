"""A whole response as nearly all are: messages in words, and calls.

Everything else is told item by item, as a stream would be.
"""

import json

from dragoman.dialects.responses.wire import Item
from dragoman.messages.writer import MessageWriter


def play(output: list[Item], writer: MessageWriter) -> bool:
    """Plays items that are there whole. False where there is more to them; then nothing is played."""
    names: list[str] = []  # an item that is there twice counts once
    said: list[str | tuple[str, str | None, str]] = []
    for item in output:
        names += {name for name in (item.id, item.call_id) if name}
        if item.encrypted_content:
            return False
        if item.type == "message" and not isinstance(item.content, str):
            for part in item.content or ():
                if part.refusal or part.annotations or not part.text or part.text.isspace():
                    return False
                said.append(part.text)
        elif item.type == "function_call" and item.name:
            arguments = item.arguments
            if isinstance(arguments, dict):
                arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
            said.append((item.name, item.call_id or item.id, arguments or ""))
        else:
            return False
    if len(set(names)) < len(names):
        return False
    for each in said:
        if isinstance(each, str):
            writer.whole_text(each)
        else:
            writer.whole_call(*each)
    return True
