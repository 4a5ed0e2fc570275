"""A whole answer as nearly all are: texts and calls, signed or not, and a usual end.

Everything else is told part by part, as a stream would be.
"""

from dragoman.dialects.contract import Recall
from dragoman.dialects.gemini.signatures import Mark, seal
from dragoman.dialects.gemini.telling import arguments
from dragoman.dialects.gemini.wire import NO_RAW, Candidate, FunctionCall
from dragoman.messages.writer import MessageWriter

_SIGNATURE_LIMIT = 100_000  # characters; the state of a longer one may be too large to travel


def play(candidate: Candidate, recall: Recall, writer: MessageWriter) -> bool:
    """Plays blocks that are there whole, each behind its signature.

    False where there is more to the answer; then nothing is played. `writer` has not begun.
    """
    content = candidate.content
    if (
        content is None
        or not content.parts
        or candidate.finish_reason != "STOP"
        or candidate.index
        or candidate.grounding_metadata is not None
        or candidate.url_context_metadata is not None
        or candidate.citation_metadata is not NO_RAW
        or recall.stop_sequences
        or recall.output_tool is not None
    ):
        return False
    said: list[tuple[str, FunctionCall | None, str | None]] = []
    is_text = False  # whether the last one is: texts that follow each other are one block
    for part in content.parts:
        call, text, signature = part.function_call, part.text, part.thought_signature
        if (
            part.thought
            or part.inline_data is not None
            or part.file_data is not None
            or part.executable_code is not None
            or part.code_execution_result is not None
            or part.tool_call is not NO_RAW
            or part.tool_response is not NO_RAW
            or (signature and len(signature) > _SIGNATURE_LIMIT)
        ):
            return False
        if call is not None:
            if not call.name or bytes(call.args)[:1] == b'"':
                return False
            text, is_text = arguments(call), False
        elif is_text or not text or text.isspace():
            return False
        else:
            is_text = True
        said.append((text, call, signature))
    for text, call, signature in said:
        if signature:
            # It rides in a block of its own, which the writer refuses where the caller asked for no thinking.
            mark = Mark("text", signature, 0, len(text)) if call is None else Mark("call", signature)
            writer.sign(seal([mark], recall.scope) if recall.asked_thinking else "")
        if call is None:
            writer.whole_text(text)
        else:
            writer.whole_call(call.name or "", call.id or None, text)
    return True
