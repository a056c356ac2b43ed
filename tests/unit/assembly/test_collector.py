"""The collector is spared, and what was spared and is garbage by now goes all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from kazoo_tasks.assembly.collector import Collector


class Connection:
    """Something that refers to itself, as connections do."""

    def __init__(self) -> None:
        self.myself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave the collector of the test run as it was."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_is_spared_is_not_looked_at_again() -> None:
    """However much there is."""
    Collector().spare()
    assert gc.get_freeze_count() > len(gc.get_objects())


def test_what_is_garbage_goes_first() -> None:
    """Nothing is spared that nobody has."""
    gone = weakref.ref(Connection())
    Collector().spare()
    assert gone() is None


def test_lost_connections_that_were_spared_go_in_the_end() -> None:
    """Else a broker that comes and goes would cost memory for ever."""
    collector = Collector()
    connections = [Connection() for _ in range(50)]
    left = [weakref.ref(connection) for connection in connections]
    collector.spare()
    for _ in range(49):
        connections.pop()
        collector.lost()
    collector.spare()
    assert all(connection() for connection in left)

    connections.pop()
    collector.lost()
    collector.spare()
    assert not any(connection() for connection in left)
