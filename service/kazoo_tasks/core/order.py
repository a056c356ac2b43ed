"""What is asked for: tasks to be added, when they are to be started, and which part of a log is to be read.

Pure; made by the listener of requests, carried out by the handlers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kazoo_tasks.authoring import Retry
from kazoo_tasks.model.task_log import LogPage


class When(NamedTuple):
    """When a task is to be started, if that is said.

    Attributes:
        start_at: Gregorian seconds.
        delay: Seconds from when it was asked for; instead of `start_at`.
    """

    start_at: int | None = None
    delay: int | None = None

    def after(self, now: int) -> int | None:
        """Gregorian seconds."""
        return self.start_at if self.delay is None else now + self.delay


NOT_SAID: Final = When()


@dataclass(frozen=True, slots=True)
class Draft:
    """A task to be added, as it was asked for."""

    module: str
    function: str
    arguments: list[Any]
    priority: int | None = None
    when: When = NOT_SAID
    concurrency_key: str | None = None
    retry: Retry | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What an `add` asks for.

    Attributes:
        bulk: The reply is an array, even of one task.
        start: Start what was added at once, but for what has a time of its own.
    """

    account_id: str
    drafts: Sequence[Draft]
    bulk: bool = False
    start: bool = False


class Reading(NamedTuple):
    """Which part of a task's log is asked for.

    Attributes:
        attempt: The last one if not given.
        place: Where to begin: a number of bytes.
        wait_s: How long to wait for more if there is nothing from there on.
    """

    attempt: int | None = None
    place: int = 0
    wait_s: float = 0.0


class Excerpt(NamedTuple):
    """A part of a task's log.

    Attributes:
        attempts: How many there were until now.
        is_over: Nothing more is said in this attempt.
    """

    attempt: int
    attempts: int
    page: LogPage
    is_over: bool
