"""When a schedule has its times: cron expressions with time zones, and intervals.

Touches the system's table of time zones; cronsim reads the expressions, as Debian's cron would.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from kazoo_tasks.model.schedule import Rule

_FIELDS: Final = 5
MAX_CRON: Final = 120
#: Year 0, from which Gregorian seconds count, is none that datetime has.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_GREGORIAN: Final = 62_167_219_200
_HOUR: Final = 1


def check_time_zone(name: str) -> str:
    """Allow a time zone.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        message = f"expected the IANA name of a time zone, such as Europe/Berlin, got {name!r}"
        raise ValueError(message) from error
    return name


def check_cron(expression: str) -> str:
    """Allow a cron expression.

    Raises:
        ValueError: It is none of five fields, or it never comes true.
    """
    if len(expression.split()) != _FIELDS:
        message = (
            f"expected a cron expression of five fields (minute hour day month weekday), got {expression!r}"
        )
        raise ValueError(message)
    try:
        next(CronSim(expression, _EPOCH))
    except (CronSimError, ValueError) as error:
        message = f"expected a cron expression, got {expression!r}: {error}"
        raise ValueError(message) from error
    except StopIteration as error:
        message = f"expected a cron expression that comes true some day, got {expression!r}"
        raise ValueError(message) from error
    return expression


def next_time(rule: Rule, after: int, created_at: int) -> int | None:
    """The first time of a rule after a moment, in Gregorian seconds; none if there is no more."""
    return next(times(rule, after, created_at), None)


def next_times(rule: Rule, after: int, created_at: int, number: int) -> list[int]:
    """The first few times of a rule after a moment, in Gregorian seconds."""
    return list(islice(times(rule, after, created_at), number))


def times(rule: Rule, after: int, created_at: int) -> Iterator[int]:
    """All times of a rule after a moment, in Gregorian seconds.

    Of an hour that a clock goes through twice only the first has the times of an expression that names hours; what an
    hour that is left out would have had comes right after it. An expression for any hour goes on as time does.
    """
    if rule.interval is not None:
        past = max(0, after - created_at) // rule.interval
        while True:
            past += 1
            yield created_at + past * rule.interval
    if rule.cron is None:
        return
    zone = ZoneInfo(rule.time_zone)
    start = (_EPOCH + timedelta(seconds=after - _EPOCH_GREGORIAN)).astimezone(zone)
    names_hours = not rule.cron.split()[_HOUR].startswith("*")
    for moment in CronSim(rule.cron, start):
        if names_hours and _is_second_time(moment):
            continue
        yield int((moment.astimezone(UTC) - _EPOCH).total_seconds()) + _EPOCH_GREGORIAN


def _is_second_time(moment: datetime) -> bool:
    """Whether the clock has shown this before."""
    return moment.fold == 1 and moment.replace(fold=0).utcoffset() != moment.utcoffset()
