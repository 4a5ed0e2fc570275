"""Why an answer ended, in Chat Completions servers' words.

https://platform.openai.com/docs/api-reference/chat/object
"""

from dragoman.messages.events import StopReason

# Lower-case; total by a default: anything else ends the turn, with a note. The writer turns "end_turn" into "tool_use"
# when there are calls, because many servers say "stop" then.
STOP_REASON: dict[str, StopReason] = {
    "stop": "end_turn",
    "": "end_turn",
    "eos": "end_turn",  # Together
    "eos_token": "end_turn",  # TGI
    "end_turn": "end_turn",
    "stop_sequence": "end_turn",
    "tool_calls": "end_turn",
    "tool_use": "end_turn",
    "function_call": "end_turn",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "insufficient_system_resource": "max_tokens",  # DeepSeek
    "model_length": "model_context_window_exceeded",  # Mistral
    "model_context_window_exceeded": "model_context_window_exceeded",
    "content_filter": "refusal",
    "sensitive": "refusal",  # Z.AI
    "refusal": "refusal",
    "safety": "refusal",
    "recitation": "refusal",
    "prohibited_content": "refusal",
    "blocklist": "refusal",
    "spii": "refusal",
}

# Reasons that say the answer failed.
FAILED = frozenset({"error", "network_error", "abort", "malformed_function_call"})
