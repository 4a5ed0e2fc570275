"""Who speaks a language, where, and with which key: preset rows, facts about models, and how a call is signed."""

from dragoman.providers import azure, claude, google, vertex
from dragoman.providers.claude import Form
from dragoman.providers.credentials import Credentials, Keys, Owner, fault
from dragoman.providers.entra import Identity
from dragoman.providers.google import Account
from dragoman.providers.models import Described, state_scope, target, unknown
from dragoman.providers.patterns import matches
from dragoman.providers.presets import QUIRKS, Preset, presets
from dragoman.providers.tokens import Flow, TokenAnswer, TokenCall, TokenTask, safe

__all__ = [
    "QUIRKS",
    "Account",
    "Credentials",
    "Described",
    "Flow",
    "Form",
    "Identity",
    "Keys",
    "Owner",
    "Preset",
    "TokenAnswer",
    "TokenCall",
    "TokenTask",
    "azure",
    "claude",
    "fault",
    "google",
    "matches",
    "presets",
    "safe",
    "state_scope",
    "target",
    "unknown",
    "vertex",
]
