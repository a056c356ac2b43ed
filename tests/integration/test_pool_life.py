"""A pool begins whole or not at all, rests when it must, and leaves nothing behind, however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.model.outcome import Failure
from kazoo_tasks.pool.supervisor import ProcessPool
from support.pool import (
    MODULE,
    SETTINGS,
    Bench,
    a_pool,
    await_death,
    descendants,
    failed,
    open_descriptors,
    until,
)

_TESTS = Path(__file__).parents[1]
_PATHS = os.pathsep.join([str(_TESTS), str(_TESTS.parent / "service")])
_DEADLY = "support.dying_for_pool"


async def test_a_closed_pool_leaves_no_process(tmp_path: Path) -> None:
    """Children, what they started and the fork server are all gone."""
    before = set(descendants(os.getpid()))
    async with a_pool() as bench:
        await bench.begin("ignore_sigterm", str(tmp_path / "1"))
        await bench.begin("beget", str(tmp_path / "2"))
        below = set(descendants(os.getpid())) - before
        assert len(below) >= 3
    assert await_death(list(below), within_s=1) == []
    assert set(descendants(os.getpid())) <= before


async def test_starting_and_closing_may_be_hammered() -> None:
    """Every pool is whole after its start, and closing during the start is no problem."""
    open_before = open_descriptors()
    for _ in range(3):
        async with a_pool() as bench:
            assert await bench.result("add", 1, 2) == 3
        starting = asyncio.create_task(bench_start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    await ProcessPool(SETTINGS).close()
    assert open_descriptors() == open_before


async def bench_start() -> None:
    """Start a pool and forget it."""
    bench = Bench(SETTINGS)
    await bench.pool.start(bench)


async def test_many_deaths_leave_no_descriptor() -> None:
    """A child's descriptors go with it."""
    async with a_pool(max_restarts=1000) as bench:
        await bench.whole()
        before = open_descriptors()
        for _ in range(20):
            await bench.failure("leave_at_once", 1)
        await bench.whole()
        assert open_descriptors() == before


def test_the_pool_runs_on_uvloop() -> None:
    """The other event loop that the service may use serves as well."""

    async def use() -> None:
        async with a_pool() as bench:
            assert await bench.result("add", 1, 2) == 3
            assert (await bench.failure("leave_at_once", 3)).failure is Failure.EXIT
            assert await bench.result("length", "x" * 1_000_000) == 1_000_000
            await bench.whole()

    uvloop.run(use())


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("support.no_such_module", "ModuleNotFoundError: No module named 'support.no_such_module'"),
        ("support.raising_for_pool", "RuntimeError: expected a licence, got none"),
    ],
)
async def test_a_module_that_cannot_be_imported_ends_the_start(module: str, why: str) -> None:
    """One sentence says which and why, though the fork server has tried before."""
    with pytest.raises(CannotStart) as raised:
        await ProcessPool(replace(SETTINGS, modules=(MODULE, module))).start(Bench(SETTINGS))
    assert str(raised.value) == f"task module {module} cannot be imported: {why}"
    assert _pool_processes() == []


async def test_a_module_that_ends_the_process_ends_the_start(deadly: Callable[[], None]) -> None:
    """A child that dies before it is ready says how."""
    deadly()
    with pytest.raises(CannotStart, match=r"child \d ended before it was ready: exit code 3"):
        await ProcessPool(replace(SETTINGS, modules=(_DEADLY,))).start(Bench(SETTINGS))
    assert _pool_processes() == []


async def test_a_start_that_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The time is bounded even if the fork server itself hangs."""
    _write_endless_module(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CannotStart, match=r"ready within 0\.5 s"):
        await ProcessPool(replace(SETTINGS, modules=("endless_for_pool",), start_timeout_s=0.5)).start(
            Bench(SETTINGS)
        )
    assert _pool_processes() == []


async def test_a_slot_rests_when_its_children_keep_dying(deadly: Callable[[], None]) -> None:
    """Beyond the limit there is no spinning, it is counted as resting, and the other slot works on."""
    async with a_pool(modules=(MODULE, _DEADLY), max_restarts=3) as bench:
        deadly()
        os.kill(next(iter(bench.pool.pids.values())), signal.SIGKILL)
        await until(lambda: bench.pool.resting_slots == 1)
        assert (bench.pool.room(), len(bench.pool.pids)) == (1, 1)
        assert await bench.result("add", 1, 2) == 3


async def test_an_assignment_does_not_wait_for_a_resting_slot(deadly: Callable[[], None]) -> None:
    """It is given back when its child dies, for whatever slot there may be."""
    async with a_pool(size=1, modules=(MODULE, _DEADLY), max_restarts=1) as bench:
        deadly()
        (pid,) = bench.pool.pids.values()
        os.kill(pid, signal.SIGSTOP)
        task_id = await bench.begin("nothing")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: bench.pool.resting_slots == 1)
        assert (bench.given_back, bench.outcomes) == ([task_id], {})


async def test_a_run_that_no_child_lives_to_begin_is_given_up() -> None:
    """It might be what they die of."""
    async with a_pool(size=1) as bench:
        bench.gives_again = False
        run = bench.a_run("nothing")
        for times in range(1, 5):
            (pid,) = bench.pool.pids.values()
            os.kill(pid, signal.SIGSTOP)
            assert bench.pool.assign([run]) == 1
            os.kill(pid, signal.SIGKILL)
            await until(lambda times=times: len(bench.given_back) == times or bool(bench.outcomes))  # type: ignore[misc]  # bound now
            await bench.whole()
        failure = failed(await bench.outcome(run.task_id))
    assert bench.given_back == [run.task_id] * 3
    assert (failure.worker, failure.failure) == ("0.0.0", Failure.KILLED)
    assert failure.reason == "no child lived long enough to begin it"


@pytest.mark.parametrize(
    "functions",
    [[], ["wait", "ignore_sigterm"], ["hold_the_interpreter", "beget"], ["daemonize_and_wait"]],
    ids=["idle", "busy", "in C", "daemons"],
)
def test_nothing_outlives_a_killed_service(functions: list[str], tmp_path: Path) -> None:
    """SIGKILL of the service: within a second children, grandchildren and fork server are gone."""
    service, said = _service(tmp_path, functions)
    below = said["below"]
    service.kill()
    assert len(below) >= 2 + len(functions)
    assert await_death(below, within_s=1) == []
    service.communicate()


async def test_a_fork_server_that_hangs_in_an_import_does_not_outlive_its_service(tmp_path: Path) -> None:
    """It could not see that nobody is there any more."""
    _write_endless_module(tmp_path)
    command = [sys.executable, "-m", "support.pool_service", str(tmp_path), "endless_for_pool"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([_PATHS, str(tmp_path)])}
    service = await asyncio.create_subprocess_exec(*command, env=environment)
    await until((tmp_path / "imported").exists)
    below = list(descendants(service.pid))
    service.kill()
    await service.wait()
    assert below
    assert await_death(below, within_s=1) == []


def test_children_do_not_import_the_main_module(tmp_path: Path) -> None:
    """What the service's own main module imports is not carried by each child."""
    service, said = _service(tmp_path, [])
    service.kill()
    service.communicate()
    assert {"aiohttp", "support.pool_service", "support.pool", "asyncio"} & set(said["imported"]) == set()


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give what makes the deadly module deadly."""
    path = tmp_path / "deadly"
    monkeypatch.setenv("POOL_TEST_DEADLY", str(path))
    return path.touch


def _service(folder: Path, functions: list[str]) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    service = subprocess.Popen(
        [sys.executable, "-m", "support.pool_service", str(folder), MODULE, *functions],
        env={**os.environ, "PYTHONPATH": _PATHS},
        stdout=subprocess.PIPE,
    )
    assert service.stdout is not None
    return service, json.loads(service.stdout.readline())


def _write_endless_module(folder: Path) -> None:
    text = f"import time, pathlib; pathlib.Path({str(folder)!r}, 'imported').touch(); time.sleep(600)"
    (folder / "endless_for_pool.py").write_text(text, encoding="utf-8")


def _pool_processes() -> list[str]:
    return [
        command
        for command in descendants(os.getpid()).values()
        if "fork_server" in command or "kazoo" in command
    ]
