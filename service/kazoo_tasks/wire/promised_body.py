"""Models of tasks and schedules as everybody sees them: the bodies of what we send.

Uses pydantic, for the schemas and their tests only, as `wire.promise` does.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.model.reason import Reason
from kazoo_tasks.wire.attempt import RetryPolicy
from kazoo_tasks.wire.field import AccountId, ConcurrencyKey, GregorianSeconds, Name, Priority, TaskId
from kazoo_tasks.wire.schedule import Policy, ScheduleId


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
    priority: Priority | None = Field(None, description="if the task was given one")
    schedule_id: ScheduleId | None = Field(None, description="of the schedule that started it")
    start_at: GregorianSeconds | None = Field(None, description="if it was to be started later")
    concurrency_key: ConcurrencyKey | None = Field(None, description="if it was given one")
    retry: RetryPolicy | None = Field(None, description="if it was given one")
    retry_at: GregorianSeconds | None = Field(None, description="when it is tried again, while it waits")


class Attempt(BaseModel):
    """One time that a task was handed to a child."""

    attempt: int = Field(ge=1)
    started_at: GregorianSeconds | None = None
    ended_at: GregorianSeconds | None = None
    error: str | None = Field(None, description="of those before the last one its first 2,000 characters")


class DetailedTask(TaskBody):
    """A task that is read alone."""

    attempts: list[Attempt] | None = Field(None, description="if there were several, oldest first")


class Explanation(BaseModel):
    """Why a task does not run; or what its run takes and may take, in other keys."""

    model_config = ConfigDict(extra="allow")

    reason: Literal[tuple(reason.value for reason in Reason)] | None = None  # type: ignore[valid-type]  # built from the enum so that the words stand once
    waits_for: str | None = Field(None, description="the same in words")
    behind: int | None = Field(None, ge=0, description="tasks that come before it")
    of_account: int | None = Field(None, ge=0, description="how many of them are of its account")
    running: int | None = Field(None, ge=0, description="how many run of those that share its limit")
    limit: int | None = Field(None, ge=1, description="how many may")
    start_at: GregorianSeconds | None = None
    rate_until: GregorianSeconds | None = None
    breaker_until: GregorianSeconds | None = Field(None, description="absent if a person decides")
    retry_at: GregorianSeconds | None = None
    attempt: int | None = Field(None, ge=2, description="which comes then")
    of: int | None = Field(None, ge=1, description="how many there may be")


class ExplainedTask(DetailedTask):
    """A task, and what it waits for, or what its run takes and may take."""

    explain: Explanation


class ScheduleShown(BaseModel):
    """A schedule as everybody sees it."""

    model_config = ConfigDict(extra="forbid")

    id: ScheduleId
    account_id: AccountId
    module: Name
    function: Name
    arguments: list[Any]
    cron: str | None = None
    time_zone: str | None = None
    interval: int | None = None
    misfire: Policy
    catch_up: int | None = None
    paused: bool
    priority: Priority | None = None
    concurrency_key: ConcurrencyKey | None = None
    created_at: GregorianSeconds
    next: list[GregorianSeconds] = Field(description="the next five times; none while it is paused")
    last_due_at: GregorianSeconds | None = Field(None, description="when its last task was due")
    last_task: TaskId | None = None
    parked: str | None = Field(None, description="why it starts nothing")
