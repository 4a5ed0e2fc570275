"""The upstream languages, one folder each. `DIALECTS` is the whole list."""

from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.chat import CHAT
from dragoman.dialects.contract import Dialect
from dragoman.dialects.gemini import GEMINI
from dragoman.dialects.responses import RESPONSES

DIALECTS: dict[str, Dialect] = {"chat": CHAT, "responses": RESPONSES, "gemini": GEMINI, "anthropic": ANTHROPIC}
