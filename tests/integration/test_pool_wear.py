"""Children that have done enough are replaced; no run is lost by that, and nobody counts a death."""

from __future__ import annotations

from collections import Counter

import pytest
from structlog.testing import capture_logs

from support.pool import a_pool

_MIB = 2**20


@pytest.mark.parametrize("ahead", [0, 4])
async def test_a_child_is_replaced_after_so_many_runs(ahead: int) -> None:
    """To the run; what it had begun of those that were sent ahead it does, and no more."""
    with capture_logs() as lines:
        async with a_pool(size=1, max_runs=3) as bench:
            bench.ahead = ahead
            runs = [await bench.begin("change", "umask") for _ in range(9)]
            pids = [await bench.outcome(task_id) for task_id in runs]
    by_child = Counter(map(str, pids))
    assert sum(by_child.values()) == 9
    assert all(3 <= count <= 3 + ahead for count in list(by_child.values())[:-1])
    assert "pool.child_died" not in [line["event"] for line in lines]


async def test_a_child_that_has_grown_is_replaced() -> None:
    """Looked at once a second at most."""
    async with a_pool(size=1, max_child_bytes=_MIB) as bench:
        first = bench.pool.pids[1]
        await bench.run("sleep", 1.1)
        await bench.whole()
        assert bench.pool.pids[1] != first
