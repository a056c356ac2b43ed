"""Load the fixtures that every room of the tests may ask for.

Touches structlog's global state; read by pytest. What a fixture does is told where it is defined.
"""

from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = ["support.broker"]


#: Longer bytes are no name for a test: those that gzip packs hold the second in which they were packed, and two workers
#: that import a test in different seconds would run different tests.
_MAX_BYTES_IN_A_NAME = 40


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Call long bytes by the name of their parameter, and all else as ever."""
    return argname if isinstance(val, bytes) and len(val) > _MAX_BYTES_IN_A_NAME else None


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that ran in the test's own process leaves no log behind that writes to a closed stream."""
    yield
    structlog.reset_defaults()
