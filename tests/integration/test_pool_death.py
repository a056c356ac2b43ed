"""Children die in every way there is: what is told is true, and the pool is whole again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kazoo_tasks.model.outcome import Failed, Failure, Succeeded
from support.pool import Bench, a_pool, await_death, descendants, failed, until, written


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Give a started pool."""
    async with a_pool() as started:
        yield started


async def test_sys_exit_is_an_exit_and_the_child_goes_on(bench: Bench) -> None:
    """SystemExit ends the run, not the process."""
    before = bench.pool.pids
    failure = await bench.failure("leave", 3)
    assert (failure.failure, failure.reason) == (Failure.EXIT, "exit code 3")
    assert bench.pool.pids == before


@pytest.mark.parametrize("code", [3, 255])
async def test_an_exit_code_is_told(bench: Bench, code: int) -> None:
    """A process that ends itself is an exit with its code, 255 included, and its worker is told."""
    before = bench.pool.pids
    failure = await bench.failure("leave_at_once", code)
    assert (failure.failure, failure.reason) == (Failure.EXIT, f"exit code {code}")
    assert failure.worker in {f"0.{pid}.{number}" for number, pid in before.items()}
    await bench.whole()


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGTERM])
async def test_a_signal_is_told(bench: Bench, number: signal.Signals) -> None:
    """A process that dies of a signal was killed, and the signal is named."""
    failure = await bench.failure("kill_itself", int(number))
    assert (failure.failure, failure.reason) == (Failure.KILLED, f"signal {int(number)} ({number.name})")
    await bench.whole()


async def test_a_signal_without_a_name_is_told(bench: Bench) -> None:
    """Real-time signals have numbers only."""
    assert (await bench.failure("kill_itself", 40)).reason == "signal 40 (real-time)"


async def test_an_interrupt_raised_by_a_task_is_its_error(bench: Bench) -> None:
    """KeyboardInterrupt does not end the child."""
    failure = await bench.failure("interrupt")
    assert (failure.failure, failure.reason) == (Failure.ERROR, "KeyboardInterrupt()")


async def test_a_death_after_the_answer_takes_no_other_run(bench: Bench) -> None:
    """The result was read first, so it stands; what is assigned next succeeds."""
    for _ in range(5):
        assert await bench.result("leave_in_a_moment") == 1
    await bench.whole()
    assert await bench.result("add", 1, 1) == 2


async def test_an_assignment_that_a_dead_child_never_read_goes_to_the_next() -> None:
    """A child that dies between two runs does not take the second, which had not begun."""
    async with a_pool(size=1) as bench:
        (pid,) = bench.pool.pids.values()
        os.kill(pid, signal.SIGSTOP)
        task_id = await bench.begin("add", 1, 2)
        os.kill(pid, signal.SIGKILL)
        assert await bench.outcome(task_id) == Succeeded(b"3")


async def test_a_run_that_has_not_begun_is_stopped_without_a_signal() -> None:
    """The child never sees it, and takes the next."""
    async with a_pool(size=1) as bench:
        (pid,) = bench.pool.pids.values()
        os.kill(pid, signal.SIGSTOP)
        task_id = await bench.begin("add", 1, 2)
        bench.pool.stop(task_id)
        assert failed(await bench.outcome(task_id)).reason == "stopped on request, before it began"
        os.kill(pid, signal.SIGCONT)
        assert await bench.result("add", 1, 2) == 3
        assert list(bench.pool.pids.values()) == [pid]


async def test_a_death_costs_one_run_however_many_were_sent_ahead() -> None:
    """Those behind it had not begun, and are given back in their order."""
    async with a_pool(size=1) as bench:
        bench.ahead = 9
        dying = bench.a_run("kill_itself", int(signal.SIGSEGV))
        behind = [bench.a_run("echo", number) for number in range(9)]
        assert bench.pool.assign([dying, *behind], bench.ahead) == 10
        assert failed(await bench.outcome(dying.task_id)).reason == "signal 11 (SIGSEGV)"
        outcomes = [await bench.outcome(run.task_id) for run in behind]
    assert outcomes == [Succeeded(str(number).encode()) for number in range(9)]
    assert bench.given_back == [run.task_id for run in behind]


async def test_a_stop_is_for_one_run_however_many_were_sent_ahead(tmp_path: Path) -> None:
    """Neither what stands before it nor what stands behind it is touched."""
    async with a_pool(size=1) as bench:
        bench.ahead = 4
        first, second, third = (bench.a_run("wait", str(tmp_path / name)) for name in "123")
        assert bench.pool.assign([first, second, third], bench.ahead) == 3
        pid = await written(tmp_path / "1")
        bench.pool.stop(second.task_id)
        stopped = failed(await bench.outcome(second.task_id))
        assert stopped.reason == "stopped on request, before it began"
        assert (list(bench.pool.pids.values()), list(bench.outcomes)) == ([pid], [second.task_id])
        bench.pool.stop(first.task_id)
        assert failed(await bench.outcome(first.task_id)).reason == "stopped on request, by SIGTERM"
        assert await written(tmp_path / "3") != pid
        assert not (tmp_path / "2").exists()


async def test_a_stop_never_meets_the_next_run() -> None:
    """A run that is over when it is stopped takes no signal, since the child may be at another already."""
    async with a_pool(size=1) as bench:
        bench.ahead = 16
        for _ in range(200):
            runs = [bench.a_run("echo", number) for number in range(4)]
            taken = bench.pool.assign(runs, bench.ahead)
            await asyncio.sleep(0)
            bench.pool.stop(runs[0].task_id)
            outcomes = [await bench.outcome(run.task_id) for run in runs[:taken]]
            assert outcomes[1:] == [Succeeded(str(number).encode()) for number in range(1, taken)]
            await bench.whole()


async def test_sigterm_stops_a_run(bench: Bench, tmp_path: Path) -> None:
    """What does not defend itself ends by SIGTERM."""
    assert await _stopped(bench, "wait", tmp_path) == "stopped on request, by SIGTERM"


async def test_a_run_that_ignores_sigterm_is_killed_after_the_grace(bench: Bench, tmp_path: Path) -> None:
    """After the grace comes SIGKILL."""
    reason = await _stopped(bench, "ignore_sigterm", tmp_path)
    assert reason == "stopped on request, by SIGKILL after 0.3 s grace"


async def test_what_a_stopped_run_started_is_gone(bench: Bench, tmp_path: Path) -> None:
    """A stop ends the whole process group."""
    task_id = await bench.begin("beget", str(tmp_path / "pid"))
    grandchild = await written(tmp_path / "pid")
    bench.pool.stop(task_id)
    await bench.outcome(task_id)
    assert await_death([grandchild], within_s=2) == []


async def test_what_a_dead_child_left_behind_is_gone(bench: Bench, tmp_path: Path) -> None:
    """A child that ends itself takes its group along."""
    await bench.failure("beget_and_die", str(tmp_path / "pid"))
    assert await_death([await written(tmp_path / "pid")], within_s=2) == []


@pytest.mark.parametrize("ahead", [0, 8])
async def test_children_killed_at_random_take_only_their_own_runs(ahead: int) -> None:
    """400 runs, a kill every 50 ms: each killed run says its signal and its child, all others are right."""
    async with a_pool(max_restarts=10_000) as bench:
        bench.ahead = ahead
        killed: list[int] = []
        killer = asyncio.create_task(_kill_at_random(bench, random.Random(1), killed))
        sums = {await bench.begin("echo_slowly", number, 0.01): number for number in range(400)}
        outcomes = {task_id: await bench.outcome(task_id) for task_id in sums}
        killer.cancel()
        await bench.whole()
    dead = {task_id: outcome for task_id, outcome in outcomes.items() if isinstance(outcome, Failed)}
    assert len(killed) > 20
    assert 0 < len(dead) <= len(killed)
    assert {failure.reason for failure in dead.values()} == {"signal 9 (SIGKILL)"}
    assert {int(failure.worker.split(".")[1]) for failure in dead.values()} <= set(killed)
    right = {
        task_id: Succeeded(str(number).encode()) for task_id, number in sums.items() if task_id not in dead
    }
    assert right == {task_id: outcomes[task_id] for task_id in right}
    assert all(len(told) == 1 for told in bench.outcomes.values())


async def test_the_fork_server_may_be_killed(bench: Bench, tmp_path: Path) -> None:
    """A run goes on without it and its result counts; a death that nobody saw says so; the pool is whole again."""
    running = await bench.begin("sleep", 0.2)
    dying = await bench.begin("wait", str(tmp_path / "pid"))
    pid = await written(tmp_path / "pid")
    os.kill(_fork_server(), signal.SIGKILL)
    assert isinstance(await bench.outcome(running), Succeeded)
    os.kill(pid, signal.SIGKILL)
    failure = failed(await bench.outcome(dying))
    assert failure.failure is Failure.KILLED
    assert failure.reason == "ended unseen: the fork server, which would have told how, was gone"
    await bench.whole()
    assert await bench.result("add", 2, 2) == 4


async def test_idle_children_of_a_killed_fork_server_are_replaced(bench: Bench) -> None:
    """No child stays whose end nobody could tell."""
    before = set(bench.pool.pids.values())
    os.kill(_fork_server(), signal.SIGKILL)
    await until(lambda: not before & set(bench.pool.pids.values()))
    await bench.whole()
    assert (await bench.failure("leave_at_once", 7)).reason == "exit code 7"


async def _stopped(bench: Bench, function: str, folder: Path) -> str:
    task_id = await bench.begin(function, str(folder / "pid"))
    pid = await written(folder / "pid")
    bench.pool.stop(task_id)
    failure = failed(await bench.outcome(task_id))
    assert failure.failure is Failure.STOPPED
    assert failure.worker.split(".")[1] == str(pid)
    await bench.whole()
    return failure.reason


def _fork_server() -> int:
    (pid,) = [pid for pid, command in descendants(os.getpid()).items() if "fork server" in command]
    return pid


async def _kill_at_random(bench: Bench, chance: random.Random, killed: list[int]) -> None:
    """Kill one child every 50 ms: the pace is what the test is about, it waits for nothing."""
    while True:
        await asyncio.sleep(0.05)
        pid = chance.choice(list(bench.pool.pids.values()) or [0])
        if pid:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
