"""When a schedule has its times: cron expressions with time zones, and intervals.

Touches the system's table of time zones; cronsim reads the expressions, as Debian's cron would.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count, dropwhile, takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from kazoo_tasks.model.schedule import Rule

_FIELDS: Final = 5
MAX_CRON: Final = 120
#: Year 0, from which Gregorian seconds count, is none that datetime has.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_GREGORIAN: Final = 62_167_219_200
_HOURS: Final = 24


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


def times(rule: Rule, after: int, created_at: int) -> Iterator[int]:
    """All times of a rule after a moment, in Gregorian seconds, soonest first.

    A time of day that comes twice counts once, the first time; one that is left out counts when the clock goes on. What
    is due in every hour goes by the time that passes: nothing is left out of an hour that comes twice.
    """
    if rule.interval is not None:
        passed = max(0, (after - created_at) // rule.interval)
        return count(created_at + (passed + 1) * rule.interval, rule.interval)
    if rule.cron is None:
        return iter(())
    zone = ZoneInfo(rule.time_zone)
    # The first of an hour that comes twice is past in the second.
    return dropwhile(lambda at: at <= after, _times(_plain(rule.cron), _local(after, zone)))


def times_back(rule: Rule, until: int, since: int, created_at: int) -> Iterator[int]:
    """The times of a rule from `since` to `until`, both included, latest first."""
    if rule.interval is not None:
        last = created_at + (until - created_at) // rule.interval * rule.interval
        return takewhile(lambda at: at >= since, count(last, -rule.interval))
    if rule.cron is None:
        return iter(())
    zone = ZoneInfo(rule.time_zone)
    # What was due in the first of two hours is read as later than it is in the second.
    start = _local(until + 1 + _fold_s(until, zone), zone)
    found = _times(_plain(rule.cron), start, back=True)
    return takewhile(lambda at: at >= since, dropwhile(lambda at: at > until, found))


def _times(cron: str, start: datetime, *, back: bool = False) -> Iterator[int]:
    last: int | None = None
    for moment in CronSim(cron, start, reverse=back):
        at = int((moment.astimezone(UTC) - _EPOCH).total_seconds()) + _EPOCH_GREGORIAN
        if at != last:
            yield at
        last = at


@lru_cache(maxsize=4096)
def _plain(cron: str) -> str:
    """The same expression without the stars that would have it go by the time that passes, unless it is every hour's.

    To cron a star in the hours or the minutes means that: `*/15 2 * * *` would not be due where 2 o'clock is left out.
    """
    minute, hour, *days = cron.upper().split()
    plain = " ".join([minute.replace("*", "0-59"), hour.replace("*", "0-23"), *days])
    if len(CronSim(plain, _EPOCH).hours) < _HOURS:
        return plain
    return " ".join([minute, "*", *days])


def _local(at: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(seconds=at - _EPOCH_GREGORIAN)).astimezone(zone)


def _fold_s(at: int, zone: ZoneInfo) -> int:
    """How much longer the hour around a moment is, since it comes twice."""
    local = _local(at, zone)
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    longer = (first or timedelta()) - (second or timedelta())
    return max(0, int(longer.total_seconds()))
