"""Goldens of what is passed on: what each client body of `cases/requests` becomes for Claude itself.

The server is like Anthropic's, the model like claude-opus-4-6; a case whose name begins with "azure" goes to one of the
newest models, which takes least.
"""

from dialects.anthropic.asking_messages import NEWEST, target
from golden_calls import GoldenCalls

FACTS = {
    "max_output": 128_000,
    "thinking_forms": ("adaptive", "enabled", "disabled"),
    "efforts": ("low", "medium", "high", "max"),
    "prefill": False,
    "system_turns": False,
}
CLAUDE = target(facts=FACTS, model="claude-golden")
STRICTEST = target(facts=NEWEST, model="claude-newest")
REQUESTS = GoldenCalls("anthropic", lambda case: STRICTEST if case.startswith("azure") else CLAUDE)
