"""Runs inside LiteLLM's own environment, never inside dragoman's: its proxy on a free port of this machine.

What a sidecar must do: take its key from LITELLM_MASTER_KEY, say `listens on port N` when it does, end when standard
input is closed, because then the gateway is gone.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from pathlib import Path

GRACE = 2  # seconds for open streams

os.environ["CONFIG_FILE_PATH"] = str(Path(__file__).with_name("litellm.yaml"))
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # the table in the package, not one from the network
os.environ["LITELLM_MODE"] = "PRODUCTION"  # no `.env` of the working directory


def end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()

    # Takes long, and the gateway may leave before it is over.
    import uvicorn  # noqa: PLC0415
    from litellm.proxy.proxy_server import app  # noqa: PLC0415

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            sys.stdout.write(f"listens on port {listener.getsockname()[1]}\n")
            sys.stdout.flush()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE)
    asyncio.run(Server(settings).serve([listener]))


if __name__ == "__main__":
    main()
