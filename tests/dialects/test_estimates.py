"""Tokens of the input are estimated only where an upstream counts none."""

import json
from typing import Any

import pytest
from msgspec import structs

from dialects.chat.encoder_chat import ChatEncoder
from dialects.gemini.encoder_gemini import GeminiEncoder
from dialects.responses.encoder_responses import ResponsesEncoder
from dragoman.dialects import DIALECTS
from dragoman.messages.fold import fold
from reading import Told, writer_for

CHAT: dict[str, Any] = {
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2},
}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
RESPONSES = {"status": "completed", "output": [SAID], "usage": {"input_tokens": 7, "output_tokens": 2}}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2},
}


class Asked(Told):
    def __init__(self) -> None:
        super().__init__(99)
        self.times = 0

    def tokens(self) -> int:
        self.times += 1
        return super().tokens()


@pytest.mark.parametrize(
    ("encoder", "answer"), [(ChatEncoder(), CHAT), (ResponsesEncoder(), RESPONSES), (GeminiEncoder(), GEMINI)]
)
@pytest.mark.parametrize("counts", [True, False])
def test_who_counts_is_believed(
    encoder: ChatEncoder | ResponsesEncoder | GeminiEncoder, answer: dict[str, Any], counts: bool
) -> None:
    asked = Asked()
    call = encoder.call()
    call = structs.replace(call, stream=False, recall=structs.replace(call.recall, estimate=asked))
    if not counts:
        answer = {name: value for name, value in answer.items() if not name.startswith("usage")}
    message = fold(DIALECTS[encoder.name].reader(call, writer_for(call)).whole(json.dumps(answer).encode()))
    assert message.usage is not None
    assert message.usage.input_tokens == (7 if counts else 99)
    assert (asked.times == 0) is counts
