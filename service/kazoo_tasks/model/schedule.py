"""A schedule: a task that is started again and again, by a cron expression or an interval.

Pure; every step gives a new schedule.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Misfire(StrEnum):
    """What becomes of an occurrence whose time passed while the last one went on, or nobody was there."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    CATCH_UP = "catch_up"


#: Later than that an occurrence has been missed.
MISSED_S: Final = 60
#: So many missed ones are made up for at most.
MAX_CATCH_UP: Final = 100


class Rule(NamedTuple):
    """When a schedule has its times; one of `cron` and `interval`.

    Attributes:
        time_zone: IANA name; what a day or an hour is for `cron`.
        interval: Seconds.
    """

    cron: str | None = None
    time_zone: str = "UTC"
    interval: int | None = None


class Schedule(NamedTuple):
    """What is started, and when.

    Attributes:
        arguments: JSON text of an array.
        catch_up: How many missed occurrences are made up for, if they are.
        due_at: When the next occurrence is due, in Gregorian seconds; none while it is paused.
        last_due_at: When the last one was.
        last_task: Its task's id.
    """

    id: str
    account_id: str
    module: str
    function: str
    arguments: bytes
    rule: Rule
    created_at: int
    misfire: Misfire = Misfire.RUN_ONCE
    catch_up: int = 1
    paused: bool = False
    priority: int | None = None
    concurrency_key: str | None = None
    due_at: int | None = None
    last_due_at: int | None = None
    last_task: str | None = None


class Document(NamedTuple):
    """Something else than a task that is kept: durable with the commit that has it.

    Attributes:
        text: JSON text; none if it is gone.
    """

    kind: str
    id: str
    text: bytes | None
