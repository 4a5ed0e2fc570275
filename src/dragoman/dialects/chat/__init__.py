"""OpenAI Chat Completions, as OpenAI and everybody else speaks it."""
