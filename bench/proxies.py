"""Those that are measured: plain nginx, the floor of our stack, dragoman in each language, and the LiteLLM proxy."""

import contextlib
import secrets
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processes import HERE, ROOT, family, free_port, running, wait_for, where

GATEWAY = shlex.join([str(ROOT / ".venv/bin/dragoman"), "serve"]) + " --config {config} --port {port}"
FLOOR = [str(ROOT / ".venv/bin/python"), str(HERE / "floor.py")]
LITELLM = ROOT / ".clients/litellm/dragoman/litellm/bin"
DIALECTS = ("chat", "responses", "gemini", "anthropic")  # the last one is passed on, not translated
MODELS = {"anthropic": "claude-sonnet-4-5"}  # the one that is asked for, so that nothing has to change
PROXY_CPU, LOAD_CPU = "0", "1"

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 100000000;
    upstream mock {{ server 127.0.0.1:{mock}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""

# Everything that a shared gateway has switched on: callers show a token, calls are signed, each request is logged.
CONFIG = """
server: {{auth_token: {key}}}
providers:
  mock: {{dialect: {dialect}, base_url: "http://127.0.0.1:{mock}/v1", api_key: "upstream-key"}}
models:
  "claude-*": mock/{model}
"""

# Chat Completions as with us: by itself it would ask the Responses API.
LITELLM_CONFIG = """
model_list:
  - model_name: claude-sonnet-4-5
    litellm_params: {{model: openai/some-model, api_base: "http://127.0.0.1:{mock}/v1", api_key: upstream-key}}
litellm_settings:
  use_chat_completions_url_for_anthropic_messages: true
  drop_params: true
  num_retries: 0
  telemetry: false
general_settings: {{master_key: {key}}}
"""


@dataclass(frozen=True)
class Proxy:
    """One that runs. `key` is what its callers show."""

    name: str
    port: int
    pids: list[int]
    key: str = "bench"


@contextlib.contextmanager
def nginx(folder: Path, mock: int) -> Iterator[Proxy]:
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, mock=mock, port=port))
    with running([str(where("nginx")), "-p", str(folder), "-c", str(file)], PROXY_CPU, folder) as process:
        wait_for(port, "/")
        yield Proxy("nginx", port, family(process.pid))


@contextlib.contextmanager
def floor(folder: Path, mock: int) -> Iterator[Proxy]:
    port = free_port()
    upstream = f"http://127.0.0.1:{mock}/v1/messages"
    with running([*FLOOR, "--upstream", upstream, "--port", str(port)], PROXY_CPU, folder) as process:
        wait_for(port, "/")
        yield Proxy("floor", port, family(process.pid))


@contextlib.contextmanager
def gateway(
    folder: Path, mock: int, dialect: str, command: str = GATEWAY, *, workers: int = 1, cpus: str = PROXY_CPU
) -> Iterator[Proxy]:
    port, key = free_port(), secrets.token_hex(16)
    config = folder / f"{dialect}.yaml"
    model = MODELS.get(dialect, "some-model")
    config.write_text(CONFIG.format(mock=mock, dialect=dialect, model=model, key=key))
    words = [word.format(config=config, port=port) for word in shlex.split(command)]
    if workers > 1:
        words += ["--workers", str(workers)]
    with running(words, cpus, folder) as process:
        try:
            wait_for(port, "/health")
        except OSError:
            print((folder / "output.log").read_text()[-2000:], file=sys.stderr)
            raise
        yield Proxy(dialect, port, family(process.pid), key)


@contextlib.contextmanager
def litellm(folder: Path, mock: int) -> Iterator[Proxy]:
    """The LiteLLM proxy with one worker, as `make clients` installs it; it takes long to start."""
    port, key = free_port(), "sk-" + secrets.token_hex(24)
    config = folder / "litellm.yaml"
    config.write_text(LITELLM_CONFIG.format(mock=mock, key=key))
    command = [str(LITELLM / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    with running(command, PROXY_CPU, folder, **variables) as process:
        try:
            wait_for(port, "/health/liveliness", 120)
        except OSError:
            print((folder / "output.log").read_text()[-2000:], file=sys.stderr)
            raise
        yield Proxy("litellm", port, family(process.pid), key)
