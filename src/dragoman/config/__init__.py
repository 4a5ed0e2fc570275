"""File, `.env` and environment -> one frozen `Config`. The only room that reads the environment."""

from dragoman.config.loading import load, load_here, user_folder, with_demo
from dragoman.config.problems import ConfigError, Problem
from dragoman.config.settings import Config, Logs, Provider, Secrets, Server
from dragoman.config.tokens import kept_token, save_token, state_folder, state_folder_here

__all__ = [
    "Config",
    "ConfigError",
    "Logs",
    "Problem",
    "Provider",
    "Secrets",
    "Server",
    "kept_token",
    "load",
    "load_here",
    "save_token",
    "state_folder",
    "state_folder_here",
    "user_folder",
    "with_demo",
]
