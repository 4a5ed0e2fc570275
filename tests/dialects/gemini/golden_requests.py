"""Goldens of the way there: what each client body of `cases/requests` becomes for a server of this language.

The server is like AI Studio, the model like gemini-3.1-pro; a case whose name begins with "azure" goes to a model whose
thinking is a number of tokens, and whose schemas are in the older form. Both fetch URLs.
"""

from msgspec.structs import replace

from dialects.gemini.targets_gemini import newer, older
from golden_calls import GoldenCalls

NEWER = replace(newer(file_urls=True), provider="plain", state_scope="golden")
OLDER = replace(older(schema="openapi", file_urls=True), provider="plain", state_scope="golden")
REQUESTS = GoldenCalls("gemini", lambda case: OLDER if case.startswith("azure") else NEWER)
