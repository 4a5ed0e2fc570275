"""File, `.env` and environment -> one frozen `Config`. The only room that knows what variables mean."""

from dragoman.config.loading import FILE, load, read, user_folder, with_demo
from dragoman.config.origins import Origins, Value, as_yaml, written
from dragoman.config.problems import ConfigError, Problem
from dragoman.config.settings import Config, Leads, Logs, Provider, Secrets, Server
from dragoman.config.sidecars import environment
from dragoman.config.tokens import KNOWN_TOKEN, in_kubernetes, kept_token, save_token, state_folder

__all__ = [
    "FILE",
    "KNOWN_TOKEN",
    "Config",
    "ConfigError",
    "Leads",
    "Logs",
    "Origins",
    "Problem",
    "Provider",
    "Secrets",
    "Server",
    "Value",
    "as_yaml",
    "environment",
    "in_kubernetes",
    "kept_token",
    "load",
    "read",
    "save_token",
    "state_folder",
    "user_folder",
    "with_demo",
    "written",
]
