"""Paths, as clients write them."""


def canonical(path: str) -> str:
    """The path as it is served: base URLs end in `/`, `/v1` or `/anthropic`, and clients append `/v1/...`."""
    while "//" in path:
        path = path.replace("//", "/")
    path = path.removeprefix("/anthropic") if path.startswith("/anthropic/") else path
    while path.startswith("/v1/v1/"):
        path = path[3:]
    return path.rstrip("/") or "/"
