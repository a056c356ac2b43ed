"""What authors test their functions with: the same as in a child, without a service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kazoo_tasks import Stopping, context, report_progress, task
from kazoo_tasks.testing import TaskRun, task_run

__all__ = ["task_run"]


@task
def rate(months: int) -> list[object]:
    """Report, keep, and say what it knows."""
    here = context()
    report_progress(1, months, "one")
    here.keep({"month": 1})
    return [here.task_id, here.attempt, here.checkpoint, here.stopping()]


@task
async def add(one: int, other: int) -> int:
    """Be a coroutine function."""
    return one + other


@task
def count(seen: list[str]) -> Iterator[int]:
    """Be a generator function that tidies up."""
    try:
        yield 1
        yield 2
    except Stopping:
        seen.append("tidied up")
        raise


def test_a_function_tells_as_in_a_child(task_run: TaskRun) -> None:
    """Progress and checkpoints are there to be looked at; what it is to find can be set before."""
    assert task_run.run(rate, 12) == ["0" * 30, 1, None, False]
    assert (task_run.progress, task_run.checkpoints) == ([(1, 12, "one")], [{"month": 1}])
    task_run.context = replace(task_run.context, task_id="f" * 30, attempt=2, checkpoint={"month": 1})
    assert task_run.run(rate, 12) == ["f" * 30, 2, {"month": 1}, False]


def test_coroutines_and_generators_run(task_run: TaskRun) -> None:
    """Each step is a report."""
    assert task_run.run(add, 1, 2) == 3
    assert task_run.run(count, []) is None
    assert [done for done, _, _ in task_run.progress] == [1, 2]


def test_a_stop_is_asked_for(task_run: TaskRun) -> None:
    """By a flag: a generator hears of it at its next step."""
    seen: list[str] = []
    task_run.stop_asked = True
    assert task_run.run(rate, 1)[3] is True
    with pytest.raises(Stopping):
        task_run.run(count, seen)
    assert seen == ["tidied up"]


def test_outside_of_a_run_there_are_zeros() -> None:
    """A function can be called as any other; what it tells nobody hears."""
    report_progress(1)
    assert rate(1) == ["0" * 30, 1, None, False]
