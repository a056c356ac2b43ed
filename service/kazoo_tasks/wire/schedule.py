"""Schedules as they are asked for, kept and shown.

Pure; the journal keeps `schedule_text`, whoever asks reads `schedule_object`.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from kazoo_tasks.model.schedule import MAX_CATCH_UP, Misfire, Rule, Schedule
from kazoo_tasks.wire.codec import JsonText, decode_stored, encode, kept
from kazoo_tasks.wire.cron import MAX_CRON, check_cron, check_time_zone, times
from kazoo_tasks.wire.field import ConcurrencyKey, Name, Priority

SHOWN_TIMES: Final = 5
#: A schedule every second would be nothing else than a loop.
_LEAST_INTERVAL_S: Final = 1
_MOST_INTERVAL_S: Final = 366 * 24 * 3600
Cron = Annotated[str, Field(max_length=MAX_CRON), AfterValidator(check_cron)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(check_time_zone)]
Interval = Annotated[int, Field(ge=_LEAST_INTERVAL_S, le=_MOST_INTERVAL_S, description="seconds")]
Policy = Literal["skip", "run_once", "catch_up"]
SCHEDULE_ID: Final = re.compile("[0-9a-f]{32}")
ScheduleId = Annotated[str, Field(pattern=f"^{SCHEDULE_ID.pattern}$")]


class ScheduleChanges(BaseModel):
    """What may be said of a schedule that there is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cron: Cron | None = Field(None, description="minute, hour, day, month, weekday")
    time_zone: TimeZone | None = Field(None, description="IANA name, for cron; UTC if not given")
    interval: Interval | None = None
    misfire: Policy | None = None
    catch_up: Annotated[int, Field(ge=1, le=MAX_CATCH_UP)] | None = None
    paused: bool | None = None
    priority: Priority | None = None
    concurrency_key: ConcurrencyKey | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cron is not None and self.interval is not None:
            message = "expected cron or interval, got both"
            raise ValueError(message)
        return self


class NewSchedule(ScheduleChanges):
    """What shall be started again and again."""

    module: Name
    function: Name
    arguments: list[Any]

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if self.cron is None and self.interval is None:
            message = "expected cron or interval, got neither"
            raise ValueError(message)
        return self


def changed(schedule: Schedule, changes: ScheduleChanges) -> Schedule:
    """A schedule with what was said of it."""
    rule = schedule.rule
    if changes.cron is not None:
        rule = Rule(changes.cron, changes.time_zone or rule.time_zone)
    elif changes.interval is not None:
        rule = Rule(interval=changes.interval)
    elif changes.time_zone is not None:
        rule = rule._replace(time_zone=changes.time_zone)
    said = changes.model_dump(
        include={"misfire", "catch_up", "paused", "priority", "concurrency_key"}, exclude_none=True
    )
    if "misfire" in said:
        said["misfire"] = Misfire(said["misfire"])
    return schedule._replace(rule=rule, **said)


def schedule_text(schedule: Schedule) -> bytes:
    """JSON text of a schedule, as it is kept."""
    text = schedule._asdict()
    text["arguments"] = JsonText(schedule.arguments)
    text["rule"] = schedule.rule._asdict()
    return encode(text)


def schedule_of(text: bytes) -> Schedule:
    """The schedule that was kept."""
    stored: Any = decode_stored(text)
    arguments = kept(encode(stored.pop("arguments")))
    rule, misfire = Rule(**stored.pop("rule")), Misfire(stored.pop("misfire"))
    return Schedule(**stored, arguments=arguments, rule=rule, misfire=misfire)


def schedule_object(schedule: Schedule, number: int = SHOWN_TIMES) -> dict[str, Any]:
    """A schedule as it is shown, with its next few times: keys in alphabetical order, what does not apply left out."""
    rule = schedule.rule
    shown = {
        "account_id": schedule.account_id,
        "arguments": JsonText(schedule.arguments),
        "catch_up": schedule.catch_up if schedule.misfire is Misfire.CATCH_UP else None,
        "concurrency_key": schedule.concurrency_key,
        "created_at": schedule.created_at,
        "cron": rule.cron,
        "function": schedule.function,
        "id": schedule.id,
        "interval": rule.interval,
        "last_due_at": schedule.last_due_at,
        "last_task": schedule.last_task,
        "misfire": schedule.misfire.value,
        "module": schedule.module,
        "next": _next(schedule, number),
        "paused": schedule.paused,
        "priority": schedule.priority,
        "time_zone": rule.time_zone if rule.cron is not None else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _next(schedule: Schedule, number: int) -> list[int]:
    if schedule.due_at is None:
        return []
    later = islice(times(schedule.rule, schedule.due_at, schedule.created_at), number - 1)
    return [schedule.due_at, *later]
