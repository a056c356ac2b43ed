"""JSON bodies that both doors share: the task, and what an account sends through REST.

Uses pydantic; models here are what `schemas/` promises to the outside.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.codec import JsonText, encode
from kazoo_tasks.wire.header import AccountId, TaskId
from kazoo_tasks.wire.request import MAX_BULK, GregorianSeconds, Name


class Progress(BaseModel):
    """How far a running task is, in its own units."""

    done: int = Field(ge=0)
    total: int | None = Field(None, ge=0)
    note: str | None = None


class TaskBody(BaseModel):
    """A task as everybody sees it. What does not apply is absent, never null."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "dependentRequired": {
                "started_at": ["is_terminated"],
                "is_terminated": ["started_at"],
                "ended_at": ["started_at", "ran_for", "is_success"],
                "ran_for": ["ended_at"],
                "is_success": ["ended_at"],
                "error": ["ended_at"],
            }
        },
    )

    account_id: AccountId
    arguments: list[Any]
    function: Name
    id: TaskId
    module: Name
    submitted_at: GregorianSeconds
    started_at: GregorianSeconds | None = None
    is_terminated: bool | None = None
    ended_at: GregorianSeconds | None = None
    ran_for: int | None = Field(None, ge=0, description="ended_at - started_at, in whole seconds")
    is_success: bool | None = None
    error: str | None = Field(None, description="(<worker>) class: reason, then the stack trace")
    result: Any = None
    progress: Progress | None = None


class RestTask(BaseModel):
    """A task to add, as a REST client sends it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    module: Name
    function: Name
    arguments: list[Any]
    start: bool = False


class RestTasks(BaseModel):
    """Many tasks to add together; all or none."""

    tasks: list[RestTask] = Field(max_length=MAX_BULK)


class SuccessEnvelope(BaseModel):
    """What every successful REST response is wrapped in."""

    auth_token: str
    data: Any
    request_id: str
    revision: Literal["undefined"]
    status: Literal["success"]
    page_size: int | None = Field(None, description="items in this page, if it is not the only one")
    start_key: str | None = None
    next_start_key: str | None = Field(None, description="absent on the last page")


class ErrorEnvelope(BaseModel):
    """What every refused REST request is answered with."""

    auth_token: str
    data: Any
    error: str = Field(pattern=r"^\d{3}$", description="the HTTP status")
    message: str
    request_id: str
    status: Literal["error"]


def task_text(task: Task) -> bytes:
    """JSON text of a task, keys in alphabetical order, what does not apply left out."""
    return encode(_task_object(task))


def tasks_text(tasks: list[Task]) -> bytes:
    """JSON text of an array of tasks."""
    return encode([_task_object(task) for task in tasks])


def _task_object(task: Task) -> dict[str, Any]:
    ended = task.ended_at is not None
    shown = {
        "account_id": task.account_id,
        "arguments": JsonText(task.arguments),
        "ended_at": task.ended_at,
        "error": task.error,
        "function": task.function,
        "id": task.id,
        "is_success": task.error is None if ended else None,
        "is_terminated": ended if task.started_at is not None else None,
        "module": task.module,
        "progress": _text(task.progress),
        "ran_for": task.ended_at - task.started_at if task.ended_at and task.started_at else None,
        "result": _text(task.result),
        "started_at": task.started_at,
        "submitted_at": task.submitted_at,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _text(json: bytes | None) -> JsonText | None:
    return JsonText(json) if json is not None else None
