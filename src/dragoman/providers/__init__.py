"""Who speaks a language, where, and with which key: preset rows, facts about models, and how a call is signed."""

from dragoman.providers.credentials import Credentials, Flow, Keys, TokenAnswer, TokenCall, TokenTask, fault, headers
from dragoman.providers.entra import Identity
from dragoman.providers.models import state_scope, target
from dragoman.providers.patterns import matches
from dragoman.providers.presets import QUIRKS, Preset, presets

__all__ = [
    "QUIRKS",
    "Credentials",
    "Flow",
    "Identity",
    "Keys",
    "Preset",
    "TokenAnswer",
    "TokenCall",
    "TokenTask",
    "fault",
    "headers",
    "matches",
    "presets",
    "state_scope",
    "target",
]
