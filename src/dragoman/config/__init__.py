"""File, `.env` and environment -> one frozen `Config`. The only room that knows what variables mean."""

from dragoman.config.loading import FILE, load, read, user_folder, with_demo
from dragoman.config.origins import Origins, Value, as_yaml, written
from dragoman.config.problems import ConfigError, Problem
from dragoman.config.settings import Config, Logs, Provider, Secrets, Server
from dragoman.config.tokens import kept_token, save_token, state_folder

__all__ = [
    "FILE",
    "Config",
    "ConfigError",
    "Logs",
    "Origins",
    "Problem",
    "Provider",
    "Secrets",
    "Server",
    "Value",
    "as_yaml",
    "kept_token",
    "load",
    "read",
    "save_token",
    "state_folder",
    "user_folder",
    "with_demo",
    "written",
]
