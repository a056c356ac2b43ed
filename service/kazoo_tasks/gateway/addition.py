"""What a client wants to add, from the body of a PUT to the request's fields.

Pure; called by the add verb.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.gateway.fault import TOO_LARGE, FaultError
from kazoo_tasks.model.errors import BadRequest
from kazoo_tasks.wire.body import RestStart, RestTask, RestTasks
from kazoo_tasks.wire.codec import MAX_BODY_BYTES, encode
from kazoo_tasks.wire.validation import problem, validated

_MAX_KEY: Final = 255
_PRINTABLE: Final = re.compile(rf"[ -~]{{1,{_MAX_KEY}}}")
_MSG_ID_BYTES: Final = 16
#: So many unknown keys are still named one by one.
_MAX_CLUTTER: Final = 100
#: What the message adds to the fields: default headers, names of queues and nodes.
_HEADER_ROOM: Final = 4_096


def add_fields(asked: Asked) -> dict[str, object]:
    """The fields of an `add_req`.

    Raises:
        BadRequest: With everything that is wrong in the body.
        FaultError: The message would be larger than the service reads: JSON can grow in translation.
    """
    data = _data(asked.body)
    wanted = _one(data) if isinstance(data, dict) else _many(data)
    fields = {"Account-ID": asked.account_id, **asked.origin(), **wanted}
    if len(encode(fields)) > MAX_BODY_BYTES - _HEADER_ROOM:
        raise FaultError(TOO_LARGE)
    return fields


def start_fields(asked: Asked) -> dict[str, object]:
    """When a task shall be started, if the body of a PATCH says so; whatever else it holds is nobody's.

    Raises:
        BadRequest: It is no time, or named in two ways.
    """
    data = asked.body.get("data") if isinstance(asked.body, dict) else None
    return _when(validated(RestStart, data)) if isinstance(data, dict) else {}


def msg_id(account_id: str, idempotency_key: str | None) -> str | None:
    """The `Msg-ID` that every repetition of a request has; `None` for one that is not to be repeated.

    Raises:
        BadRequest: The key is not 1 to 255 printable ASCII characters.
    """
    if idempotency_key is None:
        return None
    if not _PRINTABLE.fullmatch(idempotency_key):
        said = f"String must be 1 to {_MAX_KEY} printable ASCII characters"
        raise BadRequest(problem("Idempotency-Key", "format", said))
    return hashlib.blake2b(f"{account_id}\0{idempotency_key}".encode(), digest_size=_MSG_ID_BYTES).hexdigest()


def object_of(asked: Asked) -> dict[str, Any]:
    """The `data` of a body that has to be an object.

    Raises:
        BadRequest: It is none.
        FaultError: It is larger than the service reads.
    """
    data = _data(asked.body)
    if not isinstance(data, dict):
        raise BadRequest(problem("data", "type", "Value did not match type(s): object", target="object"))
    if len(encode(data)) > MAX_BODY_BYTES - _HEADER_ROOM:
        raise FaultError(TOO_LARGE)
    return data


def _data(body: Any) -> dict[str, Any] | list[Any]:
    if not isinstance(body, dict) or "data" not in body:
        raise BadRequest(problem("data", "required", "Field is required but missing", value="data"))
    data = body["data"]
    if not isinstance(data, dict | list):
        said = "Value did not match type(s): object, array"
        raise BadRequest(problem("data", "type", said, target="object, array", value=data))
    return data


def _one(data: dict[str, Any]) -> dict[str, object]:
    _refuse_clutter([data])
    task = validated(RestTask, data)
    return {**_named(task), **_start(asked_for=task.start)}


def _many(data: list[Any]) -> dict[str, object]:
    _refuse_clutter(data)
    try:
        tasks = validated(RestTasks, {"tasks": data}).tasks
    except BadRequest as error:
        raise BadRequest(_without_wrapper(error)) from error
    starts = {task.start for task in tasks}
    if len(starts) > 1:
        raise BadRequest(_mixed(tasks))
    return {"Tasks": [_named(task) for task in tasks], **_start(asked_for=starts == {True})}


def _refuse_clutter(tasks: list[Any]) -> None:
    """To name each of half a million wrong keys would take seconds, in which nobody else is answered."""
    keys = sum(len(task) for task in tasks if isinstance(task, dict))
    if keys > len(RestTask.model_fields) * len(tasks) + _MAX_CLUTTER:
        said = f"There are more than {_MAX_CLUTTER} properties that the schema does not define"
        raise BadRequest(problem("data", "maxProperties", said, target=_MAX_CLUTTER))


def _named(task: RestTask) -> dict[str, object]:
    named: dict[str, object] = {"Module": task.module, "Function": task.function, "Arguments": task.arguments}
    beside: dict[str, object] = {"Priority": task.priority, "Concurrency-Key": task.concurrency_key}
    if task.retry is not None:
        beside["Retry"] = task.retry.model_dump(exclude_none=True)
    return {**named, **{name: said for name, said in beside.items() if said is not None}, **_when(task)}


def _when(wanted: RestTask | RestStart) -> dict[str, object]:
    when = {"Start-At": wanted.start_at, "Delay": wanted.delay}
    return {name: seconds for name, seconds in when.items() if seconds is not None}


def _start(*, asked_for: bool) -> dict[str, object]:
    return {"Start": True} if asked_for else {}


def _without_wrapper(error: BadRequest) -> dict[str, dict[str, dict[str, object]]]:
    """The wrapper `tasks` is ours: the client sent `data`, whose places have no name before them."""
    return {
        "data" if path == "tasks" else path.removeprefix("tasks."): rules
        for path, rules in error.problems.items()
    }


def _mixed(tasks: list[RestTask]) -> dict[str, dict[str, dict[str, object]]]:
    """A request starts all of its tasks or none: the first that differs from the first of all."""
    place = next(place for place, task in enumerate(tasks) if task.start != tasks[0].start)
    said = "Value must be the same for all tasks of a request"
    return problem(f"{place}.start", "uniform", said, target=tasks[0].start, value=tasks[place].start)
