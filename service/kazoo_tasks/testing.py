"""For authors' tests: run a task function as a child would, without any service, and look at what it told.

Touches nothing; needs pytest, and `task_run` is a fixture where a `conftest.py` imports it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kazoo_tasks.authoring import Context, Stopping, running, stepped


@dataclass
class TaskRun:
    """One run of a function, and what it told meanwhile.

    Attributes:
        context: What the function sees by `kazoo_tasks.context()`; replace fields of it before the run.
        progress: Each report: `(done, total, note)`.
        checkpoints: Each value that it kept, in order.
        log: Each record that it logged by its context: `{"text": …, "level": …, …}`.
        stop_asked: Set it, and the function is asked to end: `context().stopping()` is true, and a generator gets
            `Stopping` at its next step.
    """

    context: Context = field(default_factory=Context)
    progress: list[tuple[int, int | None, str | None]] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    stop_asked: bool = False

    def run(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What the function returns; whichever kind it is, and whatever it raises."""
        with self.running():
            if inspect.iscoroutinefunction(function):
                return asyncio.run(function(*arguments))
            if inspect.isgeneratorfunction(function):
                return stepped(function(*arguments), lambda: Stopping() if self.stop_asked else None)
            return function(*arguments)

    @contextmanager
    def running(self) -> Iterator[Context]:
        """Have what is called inside see the context."""

        def report(done: int, total: int | None = None, note: str | None = None) -> None:
            self.progress.append((done, total, note))

        def log(text: str, *, level: str = "info", **fields: object) -> None:
            self.log.append({"text": text, "level": level, **fields})

        keep = self.checkpoints.append
        seen = replace(self.context, stopping=lambda: self.stop_asked, keep=keep, report=report, log=log)
        token = running.set(lambda: seen)
        try:
            yield seen
        finally:
            running.reset(token)


@pytest.fixture
def task_run() -> TaskRun:
    """A run that has not begun."""
    return TaskRun()
