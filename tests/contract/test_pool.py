"""What every implementation of ports.Pool must do, as the core relies on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_tasks.model.outcome import Failure, Succeeded
from support.pool import Bench, a_pool, failed, written


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Give a started pool."""
    async with a_pool() as started:
        yield started


async def test_a_started_pool_has_every_slot_idle(bench: Bench) -> None:
    """After start, all slots can take an assignment and idle() was called for each."""
    assert (bench.pool.size, bench.pool.idle_slots, bench.idle_calls) == (2, 2, 2)


async def test_a_result_comes_back_as_json(bench: Bench) -> None:
    """The result is the JSON text of what the function returned."""
    assert await bench.run("echo", {"ä": [1, None]}) == Succeeded('{"ä":[1,null]}'.encode())


async def test_none_is_no_result(bench: Bench) -> None:
    """A function that returns None succeeds without a result."""
    assert await bench.run("nothing") == Succeeded(None)


async def test_an_exception_is_an_error_with_its_trace(bench: Bench) -> None:
    """The reason is the exception's repr, the trace names the function's own lines only."""
    failure = await bench.failure("fail", "bla")
    assert (failure.failure, failure.reason) == (Failure.ERROR, "ValueError('bla')")
    assert failure.trace.startswith("Traceback (most recent call last):\n")
    assert failure.trace.endswith("ValueError: bla")
    assert failure.trace.count("  File ") == 1


async def test_an_end_is_told_before_the_slot_is_idle(bench: Bench) -> None:
    """Within ended() the slot is not counted as idle; idle() follows."""
    calls = bench.idle_calls
    await bench.run("nothing")
    await bench.whole()
    assert bench.idle_when_ended == [1]
    assert bench.idle_calls == calls + 1


async def test_slots_run_at_the_same_time(bench: Bench, tmp_path: Path) -> None:
    """Two slots have two runs under way, in two processes."""
    first = await bench.begin("wait", str(tmp_path / "1"))
    second = await bench.begin("wait", str(tmp_path / "2"))
    assert bench.pool.idle_slots == 0
    assert await written(tmp_path / "1") != await written(tmp_path / "2")
    bench.pool.stop(first)
    bench.pool.stop(second)
    await bench.whole()


async def test_a_stopped_run_ends_as_stopped(bench: Bench, tmp_path: Path) -> None:
    """stop() ends a run, once, and the slot comes back."""
    task_id = await bench.begin("wait", str(tmp_path / "pid"))
    await written(tmp_path / "pid")
    bench.pool.stop(task_id)
    bench.pool.stop(task_id)
    assert failed(await bench.outcome(task_id)).failure is Failure.STOPPED
    await bench.whole()


async def test_stopping_what_does_not_run_does_nothing(bench: Bench) -> None:
    """Unknown and ended runs are ignored."""
    task_id = await bench.begin("nothing")
    await bench.outcome(task_id)
    bench.pool.stop(task_id)
    bench.pool.stop("unknown")
    assert await bench.result("add", 1, 2) == 3


async def test_progress_is_passed_on(bench: Bench) -> None:
    """The last report of a run always arrives, before its end."""
    await bench.run("count", 1000)
    assert bench.progress[-1] == {"done": 1000, "total": 1000, "note": "counting"}


async def test_closing_reports_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    """Runs under way end without ended(); a second close does nothing."""
    async with a_pool() as bench:
        await bench.begin("wait", str(tmp_path / "pid"))
        await written(tmp_path / "pid")
        await bench.pool.close()
        assert bench.outcomes == {}


async def test_assigning_without_an_idle_slot_is_refused(bench: Bench, tmp_path: Path) -> None:
    """Nothing is queued in the pool; the core looks before it assigns."""
    first = await bench.begin("wait", str(tmp_path / "1"))
    second = await bench.begin("wait", str(tmp_path / "2"))
    with pytest.raises(LookupError, match="expected a slot to be idle"):
        bench.assign("nothing")
    for task_id in (first, second):
        bench.pool.stop(task_id)
    await bench.whole()
