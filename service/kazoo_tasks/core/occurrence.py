"""What a schedule does when it is due: whether a task is started, for which of its times, and when it is due again.

Pure; asked by the schedules.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from kazoo_tasks.model.schedule import MISSED_S, Misfire, Schedule
from kazoo_tasks.wire.cron import next_time, times_back


class Occurrence(NamedTuple):
    """What comes of it.

    Attributes:
        schedule: As it is afterwards.
        due_at: For which time a task is started; none if none is.
    """

    schedule: Schedule
    due_at: int | None


def occur(schedule: Schedule, now: int, *, can_start: bool) -> Occurrence | None:
    """Let a schedule that is due go on; none if it waits until it can start something.

    Args:
        schedule: One that is due.
        now: Gregorian seconds, not before the schedule is due.
        can_start: Its last task has ended, as there is one at a time, and its function is there.
    """
    due_at = schedule.due_at
    if due_at is None:
        return None
    following = next_time(schedule.rule, now, schedule.created_at)
    if schedule.misfire is Misfire.SKIP:
        is_missed = not can_start or now - due_at > MISSED_S
        return Occurrence(schedule._replace(due_at=following), None if is_missed else due_at)
    if not can_start:
        return None
    if schedule.misfire is Misfire.CATCH_UP:
        missed = islice(times_back(schedule.rule, now, due_at, schedule.created_at), schedule.catch_up)
        *later, first = list(missed) or [due_at]
        return Occurrence(schedule._replace(due_at=later[-1] if later else following), first)
    return Occurrence(schedule._replace(due_at=following), due_at)
