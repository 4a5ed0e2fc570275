"""Holds a body against the official SDK's types, strictly: no unknown key, no missing one, no wrong value."""

import collections.abc
import types
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from typing_extensions import get_type_hints, is_typeddict

LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)

hints = cache(lambda type_: get_type_hints(type_, include_extras=True))


def problem(body: dict[str, Any]) -> str | None:
    """What is wrong with a request body, by its path; None when the SDK's types allow it."""
    type_ = CompletionCreateParamsStreaming if body.get("stream") else CompletionCreateParamsNonStreaming
    return wrong(body, type_, "body")


def wrong(value: Any, hint: Any, path: str) -> str | None:
    origin = get_origin(hint)
    if hint in (Any, object):
        return None
    if origin in (Union, types.UnionType):
        found = [wrong(value, one, path) for one in get_args(hint)]
        return None if None in found else max((each or "" for each in found), key=lambda each: each.count("."))
    if origin is Literal:
        return None if value in get_args(hint) else f"{path}: {value!r} is none of {get_args(hint)}"
    if is_typeddict(hint):
        return wrong_fields(value, hint, path)
    if origin is dict or origin is collections.abc.Mapping:
        return None if isinstance(value, dict) else f"{path}: no object"
    if origin in LISTS or getattr(origin, "__name__", "") == "SequenceNotStr":
        if not isinstance(value, list):
            return f"{path}: no list"
        found = [wrong(inner, get_args(hint)[0], f"{path}.{number}") for number, inner in enumerate(value)]
        return next((each for each in found if each), None)
    allowed = {float: (int, float)}.get(hint, hint)
    right = isinstance(value, allowed) and not (isinstance(value, bool) and hint is not bool)
    return None if right else f"{path}: {value!r} is no {hint}"


def wrong_fields(value: Any, hint: Any, path: str) -> str | None:
    if not isinstance(value, dict):
        return f"{path}: no object"
    fields = hints(hint)
    for name, type_ in fields.items():
        if get_origin(type_) is Required and name not in value:
            return f"{path}.{name}: missing"
    for name, inner in value.items():
        if name not in fields:
            return f"{path}.{name}: unknown"
        type_ = fields[name]
        if get_origin(type_) in (Required, NotRequired):
            (type_,) = get_args(type_)
        found = wrong(inner, type_, f"{path}.{name}")
        if found:
            return found
    return None
