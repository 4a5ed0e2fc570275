"""A request for an upstream that speaks Messages: the caller's own bytes, changed only where they must be."""

from dragoman.dialects.anthropic.quirks import Quirks
from dragoman.dialects.contract import Call, Recall, Target
from dragoman.messages import edit
from dragoman.messages.notes import Note
from dragoman.messages.request import Request


def call(request: Request, target: Target) -> Call:
    """The same request at `target`. Raises ApiError("invalid_request") for a body that is no JSON object."""
    quirks: Quirks = target.quirks
    notes: list[Note] = []
    body = request.raw if request.model == target.model else edit.with_model(request.raw, target.model)
    query = "&".join(each for each in (request.query, target.query) if each)
    return Call(
        url=f"{target.base_url}{quirks.messages_path}" + (f"?{query}" if query else ""),
        body=body,
        stream=request.stream,
        target=target,
        recall=Recall(model=request.model, scope=target.state_scope),
        headers=(("content-type", "application/json"), *_headers(request), *target.headers),
        notes=tuple(notes),
        relays=True,
    )


def _headers(request: Request) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
