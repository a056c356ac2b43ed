"""Each way to misbehave, once: it ends as it must, in time and truthfully told, and the pool is whole after it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kazoo_tasks.model.limits import NO_LIMITS
from kazoo_tasks.model.outcome import Failed, Outcome
from support.footprint import Household, household, is_at_it, worked
from support.misbehaviour import GRACE_S, MISBEHAVIOURS, MODULE, End, Misbehaviour
from support.pool import Bench, a_pool, until, written


@pytest.fixture
def ours() -> Iterator[Household]:
    """All processes from here on; none of them may be left at the end."""
    with household() as made:
        yield made


async def begun(bench: Bench, row: Misbehaviour, file: Path) -> str:
    """Have it begin and, if it goes on until it is stopped, get so far that it goes on."""
    bench.limits = row.limits
    task_id = await bench.begin(row.function, *row.arguments(str(file)))
    if row.end is End.STOP:
        pid = await written(file)
        ticks = worked(pid)
        await until(lambda: is_at_it(pid, ticks))
    return task_id


def words(outcome: Outcome) -> str:
    """The reason of a failure, or the text of a result."""
    return outcome.reason if isinstance(outcome, Failed) else (outcome.result or b"").decode()


async def behaving_pids(bench: Bench) -> set[int]:
    """Run a well-behaved function in each slot, at the same time, as soon as all are idle; gives who did."""
    await bench.whole()
    runs = [bench.a_run("behave") for _ in range(bench.pool.size)]
    assert bench.pool.assign(runs) == bench.pool.size
    outcomes = [await bench.outcome(run.task_id) for run in runs]
    return {json.loads(words(outcome)) for outcome in outcomes}


async def ended(bench: Bench, row: Misbehaviour, file: Path) -> tuple[Outcome, float]:
    """How it ends, and after how many seconds; another slot works on beside it."""
    since = time.monotonic()
    task_id = await begun(bench, row, file)
    bench.limits = NO_LIMITS
    assert await bench.result("behave")
    if row.end is End.STOP:
        since = time.monotonic()
        bench.pool.stop(task_id)
    outcome = await bench.outcome(task_id)
    return outcome, time.monotonic() - since


def size_of_files(folder: Path) -> int:
    """In bytes."""
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("row", MISBEHAVIOURS, ids=lambda row: row.name)
async def test_it_ends_right_and_the_pool_is_whole(
    ours: Household, tmp_path: Path, row: Misbehaviour
) -> None:
    """By itself, on request or by a limit; every slot works on, and nothing is left of it."""
    async with a_pool(modules=(MODULE,), stop_grace_s=GRACE_S) as bench:
        before = ours.footprint(bench.pool)
        outcome, took_s = await ended(bench, row, tmp_path / "pid")
        assert getattr(outcome, "failure", None) is row.failure, outcome
        assert re.fullmatch(row.told, words(outcome)), outcome
        assert took_s < row.within_s
        # What it changed of its process is looked for before the next function runs there, and may cost the child.
        await behaving_pids(bench)
        await ours.same_again(bench.pool, before)
        assert await behaving_pids(bench) == set(bench.pool.pids.values())
        # What may be in there is one file, of the size that its limit allows.
        assert size_of_files(tmp_path) <= 4 * 2**20
