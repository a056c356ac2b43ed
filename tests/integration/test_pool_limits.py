"""What a run may take, and how it is asked to end: told truthfully, in time, and the pool is whole after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kazoo_tasks.model.limits import Limits
from kazoo_tasks.model.outcome import Failed, Failure, Succeeded
from kazoo_tasks.pool.usage import Usage, usage_of
from support.pool import Bench, a_pool, failed, written

_MIB = 2**20
#: What asks a run to end, and how that is told.
STOPPED = (Failure.STOPPED, "stopped on request, ")
TIMED_OUT = (Failure.TIMEOUT, "it ran for longer than 0.2 s, ")


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """coverage.py holds a lock now and then that a signal's handler wants as well: what is stopped there hangs."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A pool of one slot with more than enough patience, so that nobody is killed because the machine is busy."""
    async with a_pool(size=1, stop_grace_s=20, modules=("support.limits_for_pool",)) as started:
        yield started


async def ended(bench: Bench, way: str, function: str, *arguments: object) -> Failed | Succeeded:
    """How a run ends that is stopped, or runs for too long."""
    if way == "stopped":
        task_id = await bench.begin(function, *arguments)
        await written(Path(f"{arguments[0]}.pid"))
        bench.pool.stop(task_id)
    else:
        bench.limits = replace(bench.limits, timeout_s=0.2)
        task_id = await bench.begin(function, *arguments)
    outcome = await bench.outcome(task_id)
    await bench.whole()
    return outcome


@pytest.mark.parametrize("way", ["stopped", "too long"])
@pytest.mark.parametrize("function", ["tidy_up", "sleep_in_a_loop", "count_for_ever"])
async def test_a_run_tidies_up_when_it_is_asked_to_end(
    bench: Bench, tmp_path: Path, way: str, function: str
) -> None:
    """`finally` and `with` do their work, and the trace says where it was."""
    outcome = failed(await ended(bench, way, function, str(tmp_path / "file")))
    failure, words = STOPPED if way == "stopped" else TIMED_OUT
    assert (outcome.failure, outcome.reason) == (failure, f"{words}by SIGTERM")
    assert (tmp_path / "file").read_text() == "tidied up"
    assert function in outcome.trace
    assert "kazoo_tasks/pool" not in outcome.trace
    assert "authoring.py" not in outcome.trace


@pytest.mark.parametrize(("way", "why"), [("stopped", "Stopping"), ("too long", "TimedOut")])
async def test_a_run_knows_why(bench: Bench, tmp_path: Path, way: str, why: str) -> None:
    """By the exception's class."""
    await ended(bench, way, "tidy_up", str(tmp_path / "file"))
    assert (tmp_path / "file.why").read_text() == why


@pytest.mark.parametrize("way", ["stopped", "too long"])
async def test_an_answer_that_is_given_all_the_same_counts(bench: Bench, tmp_path: Path, way: str) -> None:
    """The work was done."""
    assert await ended(bench, way, "answer_all_the_same", str(tmp_path / "file")) == Succeeded(
        b'"half of it"'
    )


async def test_a_cooperative_function_asks(bench: Bench, tmp_path: Path) -> None:
    """Nothing is raised in it."""
    assert await ended(bench, "stopped", "ask", str(tmp_path / "file")) == Succeeded(b'"asked"')


@pytest.mark.parametrize("function", ["swallow", "block_signals"])
async def test_what_does_not_end_in_time_is_killed(bench: Bench, tmp_path: Path, function: str) -> None:
    """After its grace, as what does not end on request."""
    bench.limits = Limits(grace_s=0.5)
    outcome = failed(await ended(bench, "too long", function, str(tmp_path / "file")))
    failure, words = TIMED_OUT
    assert (outcome.failure, outcome.reason) == (failure, f"{words}by SIGKILL after 0.5 s grace")


async def test_a_regular_expression_that_goes_astray_is_ended(bench: Bench) -> None:
    """It is C code that looks for signals."""
    outcome = failed(await ended(bench, "too long", "match_for_ever"))
    assert (outcome.failure, outcome.reason) == (Failure.TIMEOUT, "it ran for longer than 0.2 s, by SIGTERM")


async def test_a_run_that_reports_without_end_tidies_up(bench: Bench, tmp_path: Path) -> None:
    """Nothing of what it was saying is cut: it is asked after that."""
    for _ in range(20):
        outcome = failed(await ended(bench, "stopped", "report_for_ever", str(tmp_path / "file")))
        assert outcome.reason == "stopped on request, by SIGTERM"
        (tmp_path / "file.pid").unlink()


async def test_a_function_has_its_own_grace(bench: Bench, tmp_path: Path) -> None:
    """Shorter than the pool's here."""
    bench.limits = Limits(grace_s=0.05)
    task_id = await bench.begin("swallow", str(tmp_path / "file"))
    await written(tmp_path / "file.pid")
    bench.pool.stop(task_id)
    assert failed(await bench.outcome(task_id)).reason == "stopped on request, by SIGKILL after 0.05 s grace"


async def test_coroutines_and_generators_are_run(bench: Bench) -> None:
    """The result of both, and each step's report."""
    assert await bench.result("add", 1, 2) == 3
    assert await bench.result("count", 3) == "counted"
    assert bench.progress[-1] == {"done": 2, "total": 3, "note": "step 2"}


async def test_a_run_knows_what_it_is(bench: Bench) -> None:
    """Its ids, its attempt and its deadline."""
    bench.limits = Limits(timeout_s=100)
    run = bench.a_run("know_thyself")
    bench.pool.assign([run])
    outcome = await bench.outcome(run.task_id)
    assert isinstance(outcome, Succeeded)
    assert outcome.result is not None
    told = outcome.result.decode()
    assert told.startswith(f'["{run.task_id}","account",1,')
    assert 90 < float(told.rpartition(",")[2].rstrip("]")) <= 100


async def test_a_run_has_what_an_earlier_attempt_kept(bench: Bench) -> None:
    """And keeps more."""
    assert await bench.result("resume") is None
    run = bench.a_run("resume")._replace(checkpoint=b'{"step":5}', attempt=2)
    bench.pool.assign([run])
    assert await bench.outcome(run.task_id) == Succeeded(b'{"step":5}')
    assert bench.checkpoints == [{"step": 1}, {"step": 6}]


async def test_what_cannot_be_kept_is_told_where_it_is_made(bench: Bench) -> None:
    """As a result would be."""
    failure = await bench.failure("keep_nothing")
    assert "text, for example base64" in failure.reason
    assert bench.checkpoints == []


@pytest.mark.parametrize("function", ["take_memory", "take_memory_below"])
async def test_memory_is_limited_while_a_run_goes_on(bench: Bench, function: str) -> None:
    """Of its process and those below it; it is killed before it has much more."""
    bench.limits = Limits(memory_bytes=300 * _MIB)
    outcome = failed(await bench.outcome(await bench.begin(function, 2_000)))
    assert outcome.failure is Failure.KILLED
    words, _, limit = outcome.reason.partition(" > ")
    assert (words.startswith("memory: "), limit) == (True, "300 MiB")
    assert 300 < int(words.split()[1].replace(",", "")) < 364
    await bench.whole()


@pytest.mark.parametrize(
    ("limits", "function", "argument"),
    [(Limits(memory_bytes=50 * _MIB), "take_memory", 2_000), (Limits(cpu_s=1), "burn", "file")],
    ids=["memory", "processor time"],
)
async def test_a_limit_is_no_failure_of_the_child(
    tmp_path: Path, limits: Limits, function: str, argument: object
) -> None:
    """However often one is met, no slot rests for it, as none does for stops and time-outs."""
    async with a_pool(size=1, max_restarts=0, modules=("support.limits_for_pool",)) as bench:
        bench.limits = limits
        outcome = await bench.failure(function, str(tmp_path / "file") if argument == "file" else argument)
        assert outcome.failure is Failure.KILLED
        await bench.whole()


async def test_limits_go_on_when_a_look_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next look is due all the same; the failure is the event loop's to tell."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    failures = [OSError("a look that fails")]

    def look(pid: int) -> Usage:
        if failures:
            raise failures.pop()
        return usage_of(pid)

    monkeypatch.setattr("kazoo_tasks.pool.usage.usage_of", look)
    bench.limits = Limits(memory_bytes=100 * _MIB)
    outcome = failed(await bench.outcome(await bench.begin("take_memory", 2_000)))
    assert outcome.reason.startswith("memory: ")
    assert [str(error) for error in told] == ["a look that fails"]


async def test_a_thread_that_reports_does_not_take_the_stop(bench: Bench, tmp_path: Path) -> None:
    """It is raised in the main thread, whoever was speaking when it came."""
    for _ in range(10):
        outcome = failed(await ended(bench, "stopped", "report_from_a_thread", str(tmp_path / "file")))
        assert outcome.reason == "stopped on request, by SIGTERM"
        (tmp_path / "file.pid").unlink()


async def test_processes_are_limited(bench: Bench) -> None:
    """Wherever they have gone."""
    bench.limits = Limits(processes=20)
    outcome = failed(await bench.outcome(await bench.begin("multiply", 60)))
    assert outcome.failure is Failure.KILLED
    assert outcome.reason.startswith("processes: ")
    assert outcome.reason.endswith(" > 20")


async def test_processor_time_is_limited(bench: Bench, tmp_path: Path) -> None:
    """To the second, whatever the child had used before."""
    bench.limits = Limits(cpu_s=1)
    began = time.process_time(), time.monotonic()
    outcome = failed(await bench.outcome(await bench.begin("burn", str(tmp_path / "file"))))
    assert (outcome.failure, outcome.reason) == (
        Failure.KILLED,
        "cpu: more seconds of processor time than its limit",
    )
    assert time.monotonic() - began[1] < 20


@pytest.mark.parametrize(
    ("limits", "call", "words"),
    [
        (Limits(open_files=50), ("open_many", 100), "Too many open files"),
        (Limits(file_bytes=1_000), ("write_much", "file", 2_000), "File too large"),
    ],
)
async def test_files_are_limited(
    bench: Bench, tmp_path: Path, limits: Limits, call: tuple[str, Any], words: str
) -> None:
    """In the run that has the limit, and in no other."""
    function, *arguments = [str(tmp_path / "file") if each == "file" else each for each in call]
    before = await bench.result("soft_limits")
    bench.limits = limits
    assert words in failed(await bench.outcome(await bench.begin(function, *arguments))).reason
    bench.limits = Limits()
    await bench.run(function, *arguments)
    assert await bench.result("soft_limits") == before
