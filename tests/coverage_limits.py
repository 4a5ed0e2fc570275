"""The limits on test coverage, lines and branches: what is pure completely; the rest must not fall below its mark.

Reads the result of `pytest --cov`. Raise a mark when it is passed for good; never lower one.
"""

import sys
from io import StringIO
from pathlib import Path

from coverage import Coverage

LIMITS = {
    "messages": 100.0,
    "dialects": 100.0,
    "providers": 100.0,
    "sidecar": 99.0,
    "config": 99.0,
    "upstream": 99.0,
    "routing": 99.0,
    "gateway": 99.0,
    "telemetry": 99.0,
    "server": 99.0,
    "demo": 99.0,
    "cli": 96.0,
}
SOURCE = Path("src/dragoman")


def main() -> int:
    measured = Coverage()
    measured.load()
    low = []
    for room, limit in LIMITS.items():
        text = StringIO()
        percent = measured.report(include=[f"*/dragoman/{room}/*"], file=text, show_missing=True, skip_covered=True)
        good = percent >= limit
        print(f"{room:<10} {percent:6.2f} %  (limit {limit:.0f} %){'' if good else '  TOO LOW'}")
        if not good:
            low.append(text.getvalue())
    print("\n".join(low), end="")
    return 1 if low else 0


sys.exit(main())
