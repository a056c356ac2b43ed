"""What a schedule does when it is due: whether a task is started, for which of its times, and when it is due again.

Pure; asked by the schedules.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Final, NamedTuple

from kazoo_tasks.model.schedule import MISSED_S, Misfire, Schedule
from kazoo_tasks.wire.cron import next_time, times

#: More missed times are not looked through: what was missed for so long is made up for once.
_MOST_MISSED: Final = 1_000


class Occurrence(NamedTuple):
    """What comes of it.

    Attributes:
        schedule: As it is afterwards.
        due_at: For which time a task is started; none if none is.
    """

    schedule: Schedule
    due_at: int | None


def occur(schedule: Schedule, now: int, *, is_going: bool) -> Occurrence | None:
    """Let a schedule that is due go on; none if it waits for its last task to end.

    Args:
        schedule: One that is due.
        now: Gregorian seconds, not before the schedule is due.
        is_going: Its last task has not ended. There is one at a time.
    """
    due_at = schedule.due_at
    if due_at is None:
        return None
    following = next_time(schedule.rule, now, schedule.created_at)
    if schedule.misfire is Misfire.SKIP:
        is_missed = is_going or now - due_at > MISSED_S
        return Occurrence(schedule._replace(due_at=following), None if is_missed else due_at)
    if is_going:
        return None
    if schedule.misfire is Misfire.CATCH_UP:
        missed = _missed(schedule, due_at, now)
        if len(missed) <= _MOST_MISSED:
            kept = missed[-schedule.catch_up :]
            return Occurrence(schedule._replace(due_at=kept[1] if len(kept) > 1 else following), kept[0])
    return Occurrence(schedule._replace(due_at=following), due_at)


def _missed(schedule: Schedule, due_at: int, now: int) -> list[int]:
    later = takewhile(lambda time: time <= now, times(schedule.rule, due_at, schedule.created_at))
    return [due_at, *islice(later, _MOST_MISSED)]
