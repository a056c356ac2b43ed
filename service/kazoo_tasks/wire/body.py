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
    """JSON text of a task, as `task_object` has it."""
    return encode(task_object(task))


def tasks_text(tasks: list[Task]) -> bytes:
    """JSON text of an array of tasks."""
    return encode([task_object(task) for task in tasks])


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
    return shown
