"""Stands for LiteLLM's proxy: speaks the same start protocol, and Chat Completions as far as tests need it.

`die`: ends before it listens; `mute`: never listens. What it is asked decides what it says: its process id, or for
`slow` models a stream that has no end.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = os.environ["LITELLM_MASTER_KEY"]


def end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        continue
    os._exit(0)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        return

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        right = self.headers["authorization"] == f"Bearer {KEY}" and self.path == "/v1/chat/completions"
        self.send_response(200 if right else 401)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        text = f"{os.getpid()} {body['model']} {','.join(sorted(os.environ))}"
        self.say({"content": text})
        if "slow" in body["model"]:
            threading.Event().wait()
        self.say({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def say(self, delta: Any, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()


def main() -> None:
    if "die" in sys.argv:
        sys.exit("no such module: luck")
    threading.Thread(target=end_with_parent, daemon=True).start()
    if "mute" in sys.argv:
        threading.Event().wait()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"listens on port {server.server_port}", flush=True)
    server.serve_forever()


main()
