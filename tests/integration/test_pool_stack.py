"""Where a run is, and what it takes: told while it goes on, whatever it is doing, and it never notices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_tasks.model.outcome import Succeeded
from support.pool import Bench, a_pool, until, written

_MIB = 2**20


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A pool with little patience."""
    async with a_pool(size=1, stop_grace_s=0.2, modules=("support.limits_for_pool",)) as started:
        yield started


@pytest.mark.parametrize(
    ("function", "where"),
    [
        ("burn", "in burn"),
        ("tidy_up", "in tidy_up"),
        ("sleep_in_a_loop", "in sleep_in_a_loop"),
        ("swallow", "in swallow"),
    ],
)
async def test_a_run_says_where_it_is(bench: Bench, tmp_path: Path, function: str, where: str) -> None:
    """In pure Python, in a sleep, in an event loop; again and again, without the frames of the pool."""
    task_id = await bench.begin(function, str(tmp_path / "file"))
    await written(tmp_path / "file.pid")
    for _ in range(3):
        stack = await bench.pool.stack(task_id)
        assert stack is not None
        assert where in stack
        assert "kazoo_tasks/pool" not in stack
        assert "<string>" not in stack
    assert not bench.outcomes


async def test_c_code_that_holds_the_interpreter_says_where_it_is(tmp_path: Path) -> None:
    """It is asked in C."""
    async with a_pool(size=1) as bench:
        task_id = await bench.begin("hold_the_interpreter", str(tmp_path / "pid"))
        await written(tmp_path / "pid")
        assert "in hold_the_interpreter" in str(await bench.pool.stack(task_id))


async def test_who_blocks_signals_says_nothing(bench: Bench, tmp_path: Path) -> None:
    """And is not waited for."""
    task_id = await bench.begin("block_signals", str(tmp_path / "file"))
    await written(tmp_path / "file.pid")
    assert await bench.pool.stack(task_id) == ""


async def test_what_does_not_run_is_nowhere(bench: Bench) -> None:
    """Before and after."""
    run = bench.a_run("add", 1, 2)
    assert await bench.pool.stack(run.task_id) is None
    bench.pool.assign([run])
    await bench.outcome(run.task_id)
    assert await bench.pool.stack(run.task_id) is None


async def test_a_run_that_ends_while_it_is_asked_is_not_hurt(bench: Bench) -> None:
    """A hundred short ones; the pool has no descriptor more after them."""
    for number in range(100):
        run = bench.a_run("add", number, 0)
        bench.pool.assign([run])
        await bench.pool.stack(run.task_id)
        assert await bench.outcome(run.task_id) == Succeeded(f"{number}".encode())


async def test_slots_tell_what_they_do(bench: Bench, tmp_path: Path) -> None:
    """An idle one, and one with a run that has started something."""
    (idle,) = bench.pool.reports()
    assert (idle.slot, idle.state, idle.task_id, idle.running_s, idle.processes) == (1, "idle", None, None, 1)
    assert idle.pid in bench.pool.pids.values()
    assert _MIB < idle.memory_bytes < 500 * _MIB
    task_id = await bench.begin("take_memory_below", 200)
    await until(lambda: bench.pool.reports()[0].memory_bytes > idle.memory_bytes + 150 * _MIB)
    (busy,) = bench.pool.reports()
    assert (busy.state, busy.task_id, busy.processes) == ("busy", task_id, 2)
    assert busy.running_s is not None
    assert busy.running_s > 0
