"""What every implementation of ports.Pool must do, as the core relies on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_tasks.model.outcome import Failure, Succeeded
from support.pool import Bench, a_pool, failed, until, written


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Give a started pool."""
    async with a_pool() as started:
        yield started


async def test_a_started_pool_has_every_slot_idle(bench: Bench) -> None:
    """After start, all slots can take an assignment and idle() was called for each."""
    assert (bench.pool.size, bench.pool.room(), bench.idle_calls) == (2, 2, 2)


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
    assert bench.pool.room() == 0
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


async def test_without_an_idle_slot_nothing_is_taken(bench: Bench, tmp_path: Path) -> None:
    """Nothing is queued in the pool, unless it was said how much may be."""
    tasks = [await bench.begin("wait", str(tmp_path / str(number))) for number in (1, 2)]
    assert bench.pool.assign([bench.a_run("nothing")]) == 0
    for task_id in tasks:
        bench.pool.stop(task_id)
    await bench.whole()


async def test_runs_sent_ahead_begin_in_their_order(bench: Bench) -> None:
    """Each is told to begin before it ends, and all are told to."""
    runs = [bench.a_run("echo", number) for number in range(20)]
    assert (bench.pool.room(9), bench.pool.assign(runs, ahead=9)) == (20, 20)
    outcomes = [await bench.outcome(run.task_id) for run in runs]

    assert outcomes == [Succeeded(str(number).encode()) for number in range(20)]
    assert sorted(bench.begun) == sorted(run.task_id for run in runs)
    by_slot = [bench.begun.index(run.task_id) for run in runs]
    assert by_slot[0::2] == sorted(by_slot[0::2])
    await bench.whole()


async def test_long_arguments_are_not_sent_ahead(bench: Bench, tmp_path: Path) -> None:
    """Nor is anything behind them; they wait until a slot is idle."""
    long = [bench.a_run("length", "x" * 20_000) for _ in range(3)]
    assert bench.pool.assign([*long[:2], bench.a_run("nothing")], ahead=9) == 2
    for run in long[:2]:
        await bench.outcome(run.task_id)
    await bench.whole()

    waits = [bench.a_run("wait", str(tmp_path / str(number))) for number in (1, 2)]
    assert bench.pool.assign([*waits, long[2]], ahead=9) == 2
    for run in waits:
        bench.pool.stop(run.task_id)
    await bench.whole()


async def test_nothing_is_sent_behind_a_run_that_goes_on(bench: Bench, tmp_path: Path) -> None:
    """It is likely to be a long one, and another slot may be free sooner."""
    waits = [bench.a_run("wait", str(tmp_path / str(number))) for number in (1, 2)]
    assert bench.pool.assign(waits, ahead=9) == 2
    await until(lambda: bench.pool.room(9) == 0)
    assert bench.pool.assign([bench.a_run("nothing")], ahead=9) == 0
    for run in waits:
        bench.pool.stop(run.task_id)
    await bench.whole()


async def test_what_has_not_begun_can_be_taken_back(bench: Bench, tmp_path: Path) -> None:
    """No child runs it, nothing more is told of it, and the slot takes others."""
    waits = [bench.a_run("wait", str(tmp_path / str(number))) for number in (1, 2)]
    behind = [bench.a_run("touch", str(tmp_path / "ran")) for _ in range(6)]
    assert bench.pool.assign([*waits, *behind], ahead=3) == 8
    for number in (1, 2):
        await written(tmp_path / str(number))
    taken = bench.pool.take_back([run.task_id for run in (*waits, *behind[1:])])
    assert sorted(run.task_id for run in taken) == sorted(run.task_id for run in behind[1:])

    assert not (tmp_path / "ran").exists()
    for run in waits:
        bench.pool.stop(run.task_id)
        await bench.outcome(run.task_id)
    await bench.outcome(behind[0].task_id)
    await bench.whole()
    assert not bench.outcomes.keys() & {run.task_id for run in taken}
