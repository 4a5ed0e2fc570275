"""Goldens of the way there: what each client body of `cases/requests` becomes for a server of this language.

The server is like OpenAI's, the model like gpt-5.5. A case whose name begins with "azure" goes to a deployment there.
"""

from msgspec.structs import replace

from dialects.responses.asking import openai
from golden_calls import GoldenCalls

OPENAI = replace(openai(), provider="plain", model="plain-model", state_scope="golden")
AZURE = replace(
    OPENAI, base_url="http://127.0.0.1:9/openai", model="deployment", query="api-version=2025-04-01-preview"
)
REQUESTS = GoldenCalls("responses", lambda case: AZURE if case.startswith("azure") else OPENAI)
