"""Load the fixtures that every room of the tests may ask for.

Touches structlog's global state; read by pytest. What a fixture does is told where it is defined.
"""

from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = ["support.broker"]


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that ran in the test's own process leaves no log behind that writes to a closed stream."""
    yield
    structlog.reset_defaults()
