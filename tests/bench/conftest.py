"""The benchmark's modules have short names, so they are imported for one test only."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parent.parent.parent / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the benchmark by its name."""
    names = {file.stem for file in BENCH.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    monkeypatch.syspath_prepend(BENCH)
    yield import_module
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(others)
