"""Each way to misbehave, once: it ends as it must, in time and truthfully told, and the pool is whole after it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kazoo_tasks.model.outcome import Outcome, Succeeded
from support import control_group
from support.footprint import Household, household
from support.misbehaviour import GRACE_S, MISBEHAVIOURS, MODULE, SLEEPER, STOPPED, End, Misbehaviour
from support.pool import Bench, a_pool, await_death, written
from support.stopping import begun, stops_s


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """coverage.py holds a lock now and then that a signal's handler wants as well: what is stopped there hangs."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ours() -> Iterator[Household]:
    """All processes from here on; none of them may be left at the end."""
    with household() as made:
        yield made


async def behaving_pids(bench: Bench) -> set[int]:
    """Run a well-behaved function in each slot, at the same time, as soon as all are idle; gives who did."""
    await bench.whole()
    runs = [bench.a_run("behave") for _ in range(bench.pool.size)]
    assert bench.pool.assign(runs) == bench.pool.size
    outcomes = [await bench.outcome(run.task_id) for run in runs]
    return {json.loads(outcome.result or b"") for outcome in outcomes if isinstance(outcome, Succeeded)}


async def ended(bench: Bench, row: Misbehaviour, file: Path) -> tuple[Outcome, float]:
    """How it ends, and after how many seconds; another slot works on beside it."""
    since = time.monotonic()
    task_id = await begun(bench, row, file)
    assert await bench.result("behave")
    if row.end is End.STOP:
        since = time.monotonic()
        bench.pool.stop(task_id)
    outcome = await bench.outcome(task_id, row.within_s)
    return outcome, time.monotonic() - since


def size_of_files(folder: Path) -> int:
    """In bytes."""
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("row", MISBEHAVIOURS, ids=lambda row: row.name)
async def test_it_ends_right_and_the_pool_is_whole(
    ours: Household, tmp_path: Path, row: Misbehaviour
) -> None:
    """By itself, on request or by a limit; every slot works on, and nothing is left of it."""
    async with a_pool(modules=(MODULE,), stop_grace_s=row.grace_s) as bench:
        before = ours.footprint(bench.pool)
        outcome, took_s = await ended(bench, row, tmp_path / "pid")
        assert row.is_right(outcome), outcome
        assert took_s < row.within_s
        # What it changed of its process is looked for before the next function runs there, and may cost the child.
        await behaving_pids(bench)
        await ours.same_again(bench.pool, before)
        assert await behaving_pids(bench) == set(bench.pool.pids.values())
        # What may be in there is one file, of the size that its limit allows.
        assert size_of_files(tmp_path) <= 4 * 2**20


async def test_a_stop_is_quick(tmp_path: Path) -> None:
    """From the request until the process is gone. `make soak` has many more of them, and the promised figures."""
    async with a_pool(modules=(MODULE,), size=1, stop_grace_s=GRACE_S) as bench:
        took_s = await stops_s(bench, SLEEPER, tmp_path, 100)
    assert took_s[50] < 0.1
    assert took_s[99] < GRACE_S


@pytest.mark.parametrize("row", STOPPED, ids=lambda row: row.name)
async def test_a_stop_takes_no_longer_than_its_grace(tmp_path: Path, row: Misbehaviour) -> None:
    """The same, for those that may not listen."""
    async with a_pool(modules=(MODULE,), size=1, stop_grace_s=GRACE_S) as bench:
        took_s = await stops_s(bench, row, tmp_path, 2)
    assert took_s[-1] < GRACE_S + 2


async def test_a_daemon_whose_fork_server_was_killed_ends_with_its_run(
    ours: Household, tmp_path: Path
) -> None:
    """There is nobody but the child to look for it, which does so before it ends as it is told."""
    async with a_pool(modules=(MODULE,)) as bench:
        before = ours.footprint(bench.pool)
        for number in range(5):
            assert await bench.result("daemonize_and_kill_parent", str(tmp_path / str(number))) == "orphaned"
            await behaving_pids(bench)
        await ours.same_again(bench.pool, before)


async def test_nothing_stays_in_the_groups_of_a_fork_server_that_was_killed(tmp_path: Path) -> None:
    """The next one looks for what is in them, a daemon too, and in the end they are gone; a run there goes on."""
    with control_group.delegated() as group:
        if group is None:
            pytest.skip("needs a writable cgroup v2 and root")
        async with a_pool(modules=(MODULE,)) as bench:
            await bench.begin("sleep", str(tmp_path / "sleeper"))
            sleeper = await written(tmp_path / "sleeper")
            assert await bench.result("daemonize_and_kill_parent", str(tmp_path / "daemon")) == "orphaned"
            daemon = await written(tmp_path / "daemon")
            assert await bench.result("behave") not in {sleeper, daemon}
            assert await_death([sleeper, daemon], within_s=2) == [sleeper]
        assert control_group.groups_in(group) == []


async def test_nothing_stays_in_the_groups_of_a_fork_server_that_we_killed(tmp_path: Path) -> None:
    """As one that is at a fork when the pool is closed."""
    with control_group.delegated() as group:
        if group is None:
            pytest.skip("needs a writable cgroup v2 and root")
        async with a_pool(modules=(MODULE,)) as bench:
            await bench.result("behave")
            assert control_group.groups_in(group)
            bench.pool._servers.hang_up()
        assert control_group.groups_in(group) == []
