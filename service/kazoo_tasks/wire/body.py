"""JSON bodies: the task as both doors show it, and what an account sends through REST.

Uses pydantic for what comes from outside; the task is built from a plain dictionary, `wire.promise` says how it looks.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.attempt import RetryPolicy
from kazoo_tasks.wire.codec import JsonText, encode
from kazoo_tasks.wire.field import MAX_BULK, ConcurrencyKey, Delay, Name, Priority, StartAt

#: Of a task that cannot be shown.
_ALWAYS_READABLE: Final = ("account_id", "function", "id", "module", "started_at", "submitted_at")


class RestStart(BaseModel):
    """When a task shall be started, if not at once."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    start_at: StartAt | None = None
    delay: Delay | None = None


class RestTask(RestStart):
    """A task to add, as a REST client sends it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    module: Name
    function: Name
    arguments: list[Any]
    start: bool = False
    priority: Priority | None = None
    concurrency_key: ConcurrencyKey | None = None
    retry: RetryPolicy | None = None


class RestTasks(BaseModel):
    """Many tasks to add together; all or none."""

    tasks: list[RestTask] = Field(max_length=MAX_BULK)


_NO_WISHES: Final = (None, None, None, None, None)


def task_text(task: Task) -> bytes:
    """JSON text of a task, as `task_object` has it."""
    return encode(task_object(task))


def tasks_text(tasks: list[Task]) -> bytes:
    """JSON text of an array of tasks."""
    return encode([task_object(task) for task in tasks])


def readable(shown: object) -> object:
    """A task that somebody else wrote, or of one that cannot be written what can: who it is, and why no more."""
    try:
        encode(shown)
    except TypeError as error:
        told = shown if isinstance(shown, dict) else {}
        known = {key: told[key] for key in _ALWAYS_READABLE if isinstance(told.get(key), str | int)}
        return {**known, "error": f"this task cannot be shown: {error}"}
    return shown


def task_object(task: Task) -> dict[str, Any]:
    """A task as it is shown: keys in alphabetical order, what does not apply left out."""
    shown: dict[str, Any] = {"account_id": task.account_id, "arguments": JsonText(task.arguments)}
    started_at, ended_at = task.started_at, task.ended_at
    if ended_at is not None:
        shown["ended_at"] = ended_at
    if task.error is not None:
        shown["error"] = task.error
    shown["function"] = task.function
    shown["id"] = task.id
    if ended_at is not None:
        shown["is_success"] = task.error is None
    if started_at is not None:
        shown["is_terminated"] = ended_at is not None
    shown["module"] = task.module
    if task.progress is not None:
        shown["progress"] = JsonText(task.progress)
    if ended_at is not None and started_at is not None:
        shown["ran_for"] = ended_at - started_at
    if task.result is not None:
        shown["result"] = JsonText(task.result)
    if started_at is not None:
        shown["started_at"] = started_at
    shown["submitted_at"] = task.submitted_at
    wishes = (task.priority, task.start_at, task.concurrency_key, task.retrying, task.schedule_id)
    return shown if wishes == _NO_WISHES else _with_wishes(shown, task)


def _with_wishes(shown: dict[str, Any], task: Task) -> dict[str, Any]:
    wishes: dict[str, Any] = {
        "priority": task.priority,
        "start_at": task.start_at,
        "concurrency_key": task.concurrency_key,
        "schedule_id": task.schedule_id,
    }
    if task.retrying is not None:
        policy = task.retrying.policy
        wishes |= {
            "retry": policy and JsonText(policy),
            "retry_at": task.retry_at if task.is_active else None,
        }
    shown |= {name: wish for name, wish in wishes.items() if wish is not None}
    return dict(sorted(shown.items()))
