"""Runs that misbehave, begun and stopped, and how long it takes until their process is gone.

Touches the pool under test and /proc; used by the tests of the pool and by its soak.
"""

from __future__ import annotations

import asyncio
import os
import time
from itertools import count
from pathlib import Path
from typing import Final

from kazoo_tasks.model.limits import NO_LIMITS
from kazoo_tasks.pool.proc import stat
from support.misbehaviour import End, Misbehaviour
from support.pool import Bench, until, written

_NUMBERS: Final = count(1)


async def begun(bench: Bench, row: Misbehaviour, file: Path) -> str:
    """Have it begin and, if it goes on until it is stopped, get so far that it goes on."""
    bench.limits = row.limits
    task_id = await bench.begin(row.function, *row.arguments(str(file)))
    bench.limits = NO_LIMITS
    if row.end is End.STOP:
        pid = await written(file)
        ticks = _worked(pid)
        await until(lambda: _is_at_it(pid, ticks))
    return task_id


async def stops_s(bench: Bench, row: Misbehaviour, folder: Path, times: int) -> list[float]:
    """Begin it and stop it so many times; gives the seconds from each request until the process was gone, ascending."""
    return sorted([await _stop_s(bench, row, folder / f"pid-{next(_NUMBERS)}") for _ in range(times)])


async def _stop_s(bench: Bench, row: Misbehaviour, file: Path) -> float:
    task_id = await begun(bench, row, file)
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    pidfd = os.pidfd_open(await written(file))
    loop.add_reader(pidfd, gone.set)
    try:
        since = time.monotonic()
        bench.pool.stop(task_id)
        await gone.wait()
        took_s = time.monotonic() - since
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    outcome = await bench.outcome(task_id)
    assert row.is_right(outcome), outcome
    return took_s


def _is_at_it(pid: int, ticks: int) -> bool:
    """Whether a process sleeps, is stopped, or has worked on for two ticks since it had worked for so many."""
    return next(iter(stat(pid)), "") in {"S", "T"} or _worked(pid) >= ticks + 2


def _worked(pid: int) -> int:
    """How many ticks of processor time it has used."""
    fields = stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0
