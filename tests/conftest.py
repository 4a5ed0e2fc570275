"""What every test shares: the event loop, and hypothesis profiles."""

import gc
import os
from collections.abc import Generator, Iterator
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, Phase, settings

from canaries import Canaries
from dragoman.server import lifespan

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile(
    "ci", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile(
    "mutants", max_examples=300, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)  # that a law turns red is enough: no time for the smallest example
settings.register_profile("laws", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """uvloop, as in production, unless the suite is asked to run on plain asyncio."""
    return "asyncio", {"use_uvloop": os.environ.get("DRAGOMAN_LOOP", "uvloop") == "uvloop"}


def pytest_collection_finish() -> None:
    """What was collected stays till the end: nobody needs to look there for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_great_cleaning() -> Iterator[None]:
    """Hundreds of gateways start within this process, and each would look for garbage in all of it: a quarter of a
    second each time. tests/server/test_lifespan.py has it back.
    """
    nothing = dict.fromkeys(("collect", "freeze", "unfreeze"), lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lifespan, "gc", SimpleNamespace(get_threshold=gc.get_threshold, set_threshold=gc.set_threshold, **nothing)
        )
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "failure(*numbers): cases of the catalogue of gateway failures that this test covers"
    )
    config.pluginmanager.register(Canaries())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With DRAGOMAN_REQUIRE_ALL=1 a skipped test is a failed one: in CI nothing may be missing."""
    report = yield
    required = os.environ.get("DRAGOMAN_REQUIRE_ALL") == "1"
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = call.excinfo.value if call.excinfo else "no reason"
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although everything is required: {reason}"
    return report
