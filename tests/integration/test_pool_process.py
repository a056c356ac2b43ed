"""What a task may change of its process, and that the next one in its slot never sees it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from support.pool import Bench, a_pool, until
from support.tasks_for_pool import CHANGES

#: What cannot be put back: the child is replaced after the run.
RETIRING = {"standard output", "standard output that does not wait", "open descriptors", "threads"}
#: What only some may put back.
PRIVILEGED = {"resource limits", "niceness"}


async def _next_after(bench: Bench, name: str) -> tuple[bool, list[object], list[object]]:
    """Whether the child was kept, and what the process is like for the next task, without and with the change."""
    before = await bench.result("traits")
    pid = await bench.result("change", name)
    await bench.whole()
    after = await bench.result("traits")
    assert isinstance(before, list)
    assert isinstance(after, list)
    return pid in bench.pool.pids.values(), before, after


@pytest.mark.parametrize("name", CHANGES)
async def test_the_next_task_finds_the_process_as_it_was_born(name: str) -> None:
    """Put back, or in another child; in both cases the run's own answer came, and nobody counts a death."""
    with capture_logs() as lines:
        async with a_pool(size=1) as bench:
            kept, before, after = await _next_after(bench, name)
            retired = [line for line in lines if line["event"] == "pool.child_retired"]
    assert after == before
    if name not in PRIVILEGED:
        assert kept == (name not in RETIRING)
    assert bool(retired) != kept
    assert "pool.child_died" not in [line["event"] for line in lines]


async def test_a_function_that_uses_children_up_is_named_once() -> None:
    """With what it changed; each time is counted."""
    with capture_logs() as lines:
        async with a_pool(size=1) as bench:
            for times in range(1, 4):
                await bench.run("change", "threads")
                await until(lambda times=times: bench.pool.retirements["tasks_for_pool.change"] == times)  # type: ignore[misc]  # bound now
    (told,) = [line for line in lines if line["event"] == "pool.child_retired"]
    assert (told["function"], told["changed"]) == ("tasks_for_pool.change", "threads that go on")


async def test_runs_that_were_sent_ahead_go_to_the_next_child() -> None:
    """None is lost with the child that leaves, and none runs in it."""
    async with a_pool(size=1) as bench:
        bench.ahead = 4
        runs = [bench.a_run("change", "threads"), *(bench.a_run("nothing") for _ in range(4))]
        taken = bench.pool.assign(runs, bench.ahead)
        for run in runs[:taken]:
            await bench.outcome(run.task_id)
    assert taken == 5
