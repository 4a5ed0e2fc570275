"""Pictures of results as SVG: bars and lines on logarithmic scales. Pure functions of figures."""

from collections.abc import Iterable
from math import ceil, floor, log10
from xml.sax.saxutils import escape

WIDTH = 760
COLOURS = {"nginx": "#7a8794", "floor": "#c9a227", "chat": "#00796b", "anthropic": "#5e97c9", "litellm": "#b5473c"}
NAMES = {"nginx": "nginx", "floor": "bare stack", "chat": "dragoman", "anthropic": "passed on", "litellm": "LiteLLM"}
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#263238}.small{font-size:11px;fill:#607080}"
    ".title{font-size:15px;font-weight:600}.line{fill:none;stroke-width:2.5}.grid{stroke:#e3e8ec}"
)

Bars = list[tuple[str, dict[str, float]]]
Lines = dict[str, list[tuple[float, float]]]


def bars(title: str, groups: Bars) -> str:
    """Horizontal bars: for each group, a figure by name."""
    low, high = decades(value for _, row in groups for value in row.values())
    left, right, top, thick = 230, WIDTH - 70, 50, 18

    def across(value: float) -> float:
        return left + (log10(value) - low) / (high - low) * (right - left)

    parts, y = [], top
    for name, row in groups:
        parts.append(words(12, y + thick * len(row) / 2 + 4, name))
        for who, value in row.items():
            wide = across(value) - left
            parts.append(f'<rect x="{left}" y="{y}" width="{wide:.1f}" height="{thick - 3}" fill="{COLOURS[who]}"/>')
            parts.append(words(across(value) + 6, y + 12, short(value), kind="small"))
            y += thick
        y += 14
    grid = [upright(across(10**each), top - 6, y, short(10**each)) for each in range(low, high + 1)]
    legend = names(dict.fromkeys(who for _, row in groups for who in row), left, y + 34)
    return drawing(title, y + 50, [*grid, *parts, *legend])


def lines(title: str, across_title: str, curves: Lines) -> str:
    """Lines: for each name, points; both scales are logarithmic."""
    left, right, top, bottom = 70, WIDTH - 30, 50, 360
    from_x, to_x = decades(x for points in curves.values() for x, _ in points)
    from_y, to_y = decades(y for points in curves.values() for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (log10(x) - from_x) / (to_x - from_x) * (right - left),
            bottom - (log10(y) - from_y) / (to_y - from_y) * (bottom - top),
        )

    parts = [upright(place(10**each, 1)[0], top, bottom, short(10**each)) for each in range(from_x, to_x + 1)]
    for each in range(from_y, to_y + 1):
        y = place(1, 10**each)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(words(left - 8, y + 4, short(10**each), kind="small", anchor="end"))
    for who, points in curves.items():
        found = [place(x, y) for x, y in points if y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in found)
        parts.append(f'<polyline class="line" stroke="{COLOURS[who]}" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[who]}"/>' for x, y in found]
    parts.append(words((left + right) / 2, bottom + 34, across_title, kind="small", anchor="middle"))
    return drawing(title, bottom + 76, [*parts, *names(curves, left, bottom + 60)])


def drawing(title: str, height: float, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
    ground = f'<rect width="{WIDTH}" height="{height:.0f}" rx="8" fill="#fff"/>'
    body = [f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", ground, words(12, 26, title, kind="title")]
    return "\n".join([head, *body, *parts, "</svg>", ""])


def names(known: Iterable[str], left: float, y: float) -> list[str]:
    """The legend."""
    found = []
    for number, who in enumerate(known):
        x = left + number * 105
        found.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[who]}"/>')
        found.append(words(x + 18, y, NAMES[who]))
    return found


def upright(x: float, top: float, bottom: float, text: str) -> str:
    """A line of the grid, with its figure below."""
    line = f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
    return line + words(x, bottom + 14, text, kind="small", anchor="middle")


def words(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    look = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{look}>{escape(text)}</text>'


def decades(values: Iterable[float]) -> tuple[int, int]:
    """The powers of ten around some figures."""
    found = [value for value in values if value > 0]
    low, high = floor(log10(min(found))), ceil(log10(max(found)))
    return low, max(high, low + 1)


def short(value: float) -> str:
    """A figure as people write it."""
    for size, unit in ((1_000_000, " M"), (1_000, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
