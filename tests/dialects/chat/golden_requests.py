"""Goldens of the way there: what each client body of `cases/requests` becomes for a plain server of this language."""

from dragoman.dialects.chat.quirks import Quirks
from dragoman.dialects.contract import Target
from golden_calls import GoldenCalls

PLAIN = Target(provider="plain", dialect="chat", base_url="http://127.0.0.1:9/v1", model="plain-model", quirks=Quirks())
REQUESTS = GoldenCalls("chat", lambda _: PLAIN)
