"""What a request asks for, and who asks it, as the audit tells it.

Pure; called by the listener for the requests that change something.
"""

from __future__ import annotations

from typing import Any, Final

from kazoo_tasks.core.audit import Deed
from kazoo_tasks.model.audit import Origin, Subject
from kazoo_tasks.wire import request as wire
from kazoo_tasks.wire.codec import encode
from kazoo_tasks.wire.schedule import ScheduleChanges

#: Of a node's name; every other text has its bound already.
_MAX_NODE: Final = 255
_STARTED: Final = encode({"start": True})


def deed_of(request: wire.Request) -> Deed | None:
    """What the audit tells of a request; of one that only reads nothing."""
    match request:
        case wire.AddRequest():
            return _deed(request, _added(request), _STARTED if request.start else None)
        case wire.StartRequest():
            when = {"start_at": request.start_at, "delay": request.delay}
            said = {name: seconds for name, seconds in when.items() if seconds is not None}
            return _deed(request, Subject(request.task_id), encode(said) if said else None)
        case wire.RetryRequest() | wire.StopRequest() | wire.RemoveRequest():
            return _deed(request, Subject(request.task_id))
        case _:
            return _of_schedule(request)


def _of_schedule(request: wire.Request) -> Deed | None:
    match request:
        case wire.ScheduleAddRequest():
            subject = Subject(None, request.schedule.module, request.schedule.function)
            return _deed(request, subject, encode({"schedule": _said(request.schedule)}))
        case wire.ScheduleChangeRequest():
            changed = {"schedule_id": request.schedule_id, "schedule": _said(request.schedule)}
            return _deed(request, Subject(), encode(changed))
        case wire.ScheduleRunRequest() | wire.ScheduleRemoveRequest():
            return _deed(request, Subject(), encode({"schedule_id": request.schedule_id}))
        case _:
            return None


def _said(schedule: ScheduleChanges) -> dict[str, Any]:
    """All but the arguments, which may be long."""
    return schedule.model_dump(exclude={"arguments", "module", "function"}, exclude_none=True)


def _deed(request: wire.Request, subject: Subject, detail: bytes | None = None) -> Deed:
    node = request.node and request.node[:_MAX_NODE]
    origin = Origin(request.auth_account_id, request.msg_id, request.request_id, node, request.client_ip)
    return Deed(request.key, request.account_id, origin, subject, detail)


def _added(request: wire.AddRequest) -> Subject:
    """What it would add, should it be refused."""
    new = request.tasks
    if new is None:
        return Subject(None, request.module, request.function)
    modules, functions = {task.module for task in new}, {task.function for task in new}
    return Subject(
        module=new[0].module if len(modules) == 1 else None,
        function=new[0].function if len(functions) == 1 else None,
        size=len(new),
    )
