"""Who speaks a language, where, and with which key: preset rows, facts about models, and how a call is signed."""

from dragoman.providers import azure
from dragoman.providers.credentials import Credentials, Flow, Keys, TokenAnswer, TokenCall, TokenTask, fault
from dragoman.providers.entra import Identity
from dragoman.providers.models import Described, state_scope, target, unknown
from dragoman.providers.patterns import matches
from dragoman.providers.presets import QUIRKS, Preset, presets

__all__ = [
    "QUIRKS",
    "Credentials",
    "Described",
    "Flow",
    "Identity",
    "Keys",
    "Preset",
    "TokenAnswer",
    "TokenCall",
    "TokenTask",
    "azure",
    "fault",
    "matches",
    "presets",
    "state_scope",
    "target",
    "unknown",
]
