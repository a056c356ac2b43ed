"""What a client can do with schedules, each by one request to the service.

Touches the bus only through its caller.
"""

from __future__ import annotations

from typing import Any, Final

from kazoo_tasks.gateway.addition import msg_id, object_of
from kazoo_tasks.gateway.answer import Success
from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.gateway.fault import FaultError, unknown
from kazoo_tasks.gateway.verb import granted
from kazoo_tasks.ports import Caller
from kazoo_tasks.wire.schedule import SCHEDULE_ID, NewSchedule, ScheduleChanges
from kazoo_tasks.wire.validation import validated

_ACCOUNT: Final = "Account-ID"


async def list_schedules(asked: Asked, caller: Caller) -> Success:
    """All of an account."""
    return Success(granted(asked, await caller.call("schedule_list_req", {_ACCOUNT: asked.account_id})))


async def add_schedule(asked: Asked, caller: Caller) -> Success:
    """One more."""
    wanted = object_of(asked)
    validated(NewSchedule, wanted)
    fields = {_ACCOUNT: asked.account_id, "Schedule": wanted, **asked.origin()}
    repeatable = msg_id(asked.account_id, asked.idempotency_key)
    reply = await caller.call("schedule_add_req", fields, msg_id=repeatable)
    return Success(granted(asked, reply), status=201)


async def read_schedule(asked: Asked, caller: Caller) -> Success:
    """One of them."""
    return Success(await _about("schedule_read_req", asked, caller, {}))


async def change_schedule(asked: Asked, caller: Caller) -> Success:
    """Other times, another policy, a pause or its end."""
    wanted = object_of(asked)
    validated(ScheduleChanges, wanted)
    return Success(await _about("schedule_change_req", asked, caller, {"Schedule": wanted, **asked.origin()}))


async def run_schedule(asked: Asked, caller: Caller) -> Success:
    """Start its task now."""
    return Success(await _about("schedule_run_req", asked, caller, asked.origin()))


async def remove_schedule(asked: Asked, caller: Caller) -> Success:
    """Forget one."""
    return Success(await _about("schedule_remove_req", asked, caller, asked.origin()))


async def _about(event: str, asked: Asked, caller: Caller, more: dict[str, object]) -> Any:
    if not SCHEDULE_ID.fullmatch(asked.task_id):
        raise FaultError(unknown(asked.task_id))
    fields = {_ACCOUNT: asked.account_id, "Schedule-ID": asked.task_id, **more}
    return granted(asked, await caller.call(event, fields))
