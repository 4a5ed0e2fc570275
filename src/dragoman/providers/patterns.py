"""Patterns of names: `*` stands for any text, also for none."""


def matches(pattern: str, name: str) -> bool:
    """Whether the whole of `name` fits `pattern`. Upper and lower case differ."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    last = rest.pop()
    if not name.startswith(first) or len(name) < len(first) + len(last):
        return False
    start, end = len(first), len(name) - len(last)
    for piece in rest:
        at = name.find(piece, start, end)
        if at < 0:
            return False
        start = at + len(piece)
    return name.endswith(last)
