"""File, `.env` and environment -> one frozen `Config`. The only room that knows what variables mean."""

from dragoman.config.loading import load, user_folder, with_demo
from dragoman.config.problems import ConfigError, Problem
from dragoman.config.settings import Config, Logs, Provider, Secrets, Server
from dragoman.config.tokens import KNOWN_TOKEN, kept_token, save_token, state_folder

__all__ = [
    "KNOWN_TOKEN",
    "Config",
    "ConfigError",
    "Logs",
    "Problem",
    "Provider",
    "Secrets",
    "Server",
    "kept_token",
    "load",
    "save_token",
    "state_folder",
    "user_folder",
    "with_demo",
]
