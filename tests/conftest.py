"""What every test shares: the event loop, and hypothesis profiles."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile(
    "ci", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("laws", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """uvloop, as in production, unless the suite is asked to run on plain asyncio."""
    return "asyncio", {"use_uvloop": os.environ.get("DRAGOMAN_LOOP", "uvloop") == "uvloop"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "failure(*numbers): cases of the catalogue of gateway failures that this test covers")
