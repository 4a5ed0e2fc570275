"""Draws the house: docs/house.svg, from the floors that `tests/test_house.py` holds the imports to."""

from collections.abc import Mapping
from html import escape

ROOMS = {
    "messages": "the client's language: requests, events, the writer",
    "dialects": "one folder per upstream language",
    "providers": "who speaks it, where, with which key",
    "sidecar": "servers that run beside",
    "config": "file, .env, environment",
    "upstream": "HTTP to providers",
    "store": "what is kept",
    "routing": "a name → where it goes",
    "accounts": "who asks, what they may",
    "gateway": "one request's journey: retries, fallbacks, pings",
    "telemetry": "logs; keeps no words of yours",
    "server": "the HTTP face: the door, limits, pages",
    "demo": "a simulated model",
    "cli": "the terminal face: serve, claude, doctor, explain",
}
"""What lives in each room, in the few words that fit into it."""

LEFT, WIDTH, TOP, HEIGHT, GAP = 210, 700, 110, 62, 8

STYLE = """\
text { font-family: system-ui, sans-serif; fill: #1f2933 }
.name { font-size: 17px; font-weight: 600 }
.said { font-size: 12px; fill: #52606d }
.floor { font-size: 12px; fill: #7b8794; text-anchor: end }
.guest { font-size: 14px; font-weight: 600; text-anchor: middle }
.room { fill: #ffffff; stroke: #cbd2d9 }
.pure { fill: #e6f4f1; stroke: #7fc1b4 }
.wall { fill: #f5f7fa; stroke: #cbd2d9 }
.roof { fill: #00796b }
.way { stroke: #00796b; stroke-width: 2.5; fill: none; marker-end: url(#tip) }"""


def drawn(floors: Mapping[str, int]) -> str:
    """The picture as SVG. `floors`: each room's floor, from the ground up; rooms on one floor share its width."""
    storeys = sorted(set(floors.values()), reverse=True)
    bottom = TOP + len(storeys) * (HEIGHT + GAP) + GAP
    middle = LEFT + WIDTH / 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1080 {bottom + 66}" role="img">',
        "<title>The house: each folder of dragoman is a room on a floor, and imports only from floors below</title>",
        f"<style>{STYLE}</style>",
        (
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="6" markerHeight="6" '
            'orient="auto"><path d="M0 0L10 5L0 10z" fill="#00796b"/></marker></defs>'
        ),
        f'<rect width="1080" height="{bottom + 66}" rx="12" fill="#ffffff"/>',
        f'<path class="roof" d="M{LEFT - 34} {TOP - 10}L{middle:g} 18L{LEFT + WIDTH + 34} {TOP - 10}z"/>',
        (
            f'<text x="{middle:g}" y="{TOP - 28}" style="fill:#fff;font-size:22px;font-weight:700;text-anchor:middle">'
            "dragoman</text>"
        ),
        f'<rect class="wall" x="{LEFT - 10}" y="{TOP - 10}" width="{WIDTH + 20}" height="{bottom - TOP + 10}"/>',
    ]
    heights: dict[str, float] = {}
    for row, storey in enumerate(storeys):
        y = TOP + row * (HEIGHT + GAP)
        rooms = [name for name in floors if floors[name] == storey]
        width = (WIDTH - GAP * (len(rooms) - 1)) / len(rooms)
        lines.append(f'<text class="floor" x="{LEFT - 20}" y="{y + HEIGHT / 2 - 2:g}">floor {storey}</text>')
        for place, name in enumerate(rooms):
            x = LEFT + place * (width + GAP)
            heights[name] = y + HEIGHT / 2
            kind = "pure" if name in ("messages", "dialects") else "room"
            lines.append(
                f'<rect class="{kind}" x="{x:g}" y="{y}" width="{width:g}" height="{HEIGHT}" rx="6"/>'
                f'<text class="name" x="{x + 14:g}" y="{y + 26}">{name}</text>'
                f'<text class="said" x="{x + 14:g}" y="{y + 46}">{escape(ROOMS[name])}</text>'
            )
    lines += guests(heights["server"], heights["upstream"])
    lines.append(
        f'<rect class="pure" x="{LEFT}" y="{bottom + 22}" width="18" height="18" rx="3"/>'
        f'<text class="said" x="{LEFT + 28}" y="{bottom + 36}">pure: values in, values out; no sockets, no clock, no '
        "environment. A room imports only from floors below its own.</text>"
    )
    return "\n".join([*lines, "</svg>"]) + "\n"


def guests(door: float, window: float) -> list[str]:
    """Who comes to the door, and who is called from the window, with the ways between."""
    right = LEFT + WIDTH
    return [
        f'<text class="guest" x="68" y="{door - 16:g}">Claude Code,</text>',
        f'<text class="guest" x="68" y="{door + 3:g}">SDKs, curl</text>',
        f'<path class="way" d="M20 {door + 14:g}H{LEFT - 4}"/>',
        f'<path class="way" d="M{right + 4} {window:g}H1060"/>',
        f'<text class="guest" x="{right + 85}" y="{window - 32:g}">OpenAI, Gemini,</text>',
        f'<text class="guest" x="{right + 85}" y="{window - 14:g}">Claude, others</text>',
    ]
