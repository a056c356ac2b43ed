"""Models of what we send: messages and bodies as `schemas/` promises them to the outside.

Uses pydantic. Only the schemas and their tests need it: nothing is sent or checked by these models, and a process that
runs would carry their validators in vain.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.wire.field import AccountId, GregorianSeconds, TaskId
from kazoo_tasks.wire.header import Header
from kazoo_tasks.wire.promised_body import DetailedTask, ExplainedTask, ScheduleShown, TaskBody

#: Every word with which a request may be refused.
Refusal = Literal[
    "already_started",
    "bad_arguments",
    "bad_start_key",
    "cannot_reload",
    "datastore_fault",
    "msg_id_conflict",
    "no_function",
    "no_module",
    "no_schedule",
    "not_failed",
    "not_found",
    "not_running",
    "quota_exceeded",
    "task_running",
    "too_soon",
]
#: Those for any request that would change something.
Unchanged = Literal["datastore_fault", "msg_id_conflict"]


class Stack(BaseModel):
    """Where a run is."""

    id: TaskId
    stack: str = Field(description="of each thread and coroutine; empty if the run blocks signals")


class LogEntry(BaseModel):
    """What was said at a moment: printed text, or a record of the log, which alone has the keys that may be absent."""

    at: float = Field(description="Unix time")
    stream: Literal["stdout", "stderr", "logging"]
    text: str = Field(description="printed text may be several lines, or a part of one")
    level: str | None = None
    logger: str | None = None
    fields: dict[str, Any] | None = None


class LeftOut(BaseModel):
    """Where something is missing, since more was said than is kept."""

    left_out: int = Field(ge=1, description="bytes")


class LogPage(BaseModel):
    """Some of what a task printed and logged."""

    id: TaskId
    attempt: int = Field(ge=0, description="0 before the first")
    attempts: int = Field(ge=0, description="how many there were until now")
    entries: list[LogEntry | LeftOut]
    next: int = Field(ge=0, description="where to read on")
    size: int = Field(ge=0, description="the `next` of the last page, for now")
    is_over: bool = Field(description="nothing more will be said in this attempt")


class AuditEntry(BaseModel):
    """Who did what, when, and what the answer was. What was not said, or does not apply, is absent."""

    model_config = ConfigDict(extra="forbid")

    account_id: AccountId
    answer: str = Field(description="ok, or the word with which it was refused")
    at: GregorianSeconds
    auth_account_id: str | None = Field(None, description="whose token it was")
    client_ip: str | None = Field(None, description="where the gateway was asked from")
    count: int | None = Field(None, ge=0, description="of how many tasks together")
    detail: dict[str, Any] | None = Field(None, description="what only this verb has to say")
    function: str | None = None
    module: str | None = None
    msg_id: str | None = None
    node: str | None = Field(None, description="that sent the message")
    request_id: str | None = Field(None, description="what the client knows it by")
    task_id: str | None = Field(None, description="as it was asked for, if there is no such task")
    verb: str = Field(description="add, start, stop, remove; others may come")


class Slot(BaseModel):
    """A slot of the pool; what it takes is that of its child and of all that this has started."""

    slot: int
    state: Literal["starting", "idle", "busy", "stopping", "resting"]
    pid: int | None = None
    task_id: TaskId | None = None
    running_s: float | None = None
    processes: int
    memory_bytes: int
    cpu_s: float = Field(description="since they began")


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


class FunctionHelp(BaseModel):
    """A function of the catalogue; the last three keys are what Kazoo's crossbar expects to find."""

    description: str
    doc: str
    arity: int
    arguments: list[dict[str, Any]]
    expected_content: Literal["none"]
    mandatory: list[str]
    optional: list[str]


class Reply(Header):
    """A reply: `Reply`, which each kind has its own of, is the value asked for, or the word for why not."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")


class AddReply(Reply):
    """The task that was added, or the array of them."""

    reply: (
        TaskBody
        | list[TaskBody]
        | Literal["bad_arguments", "no_function", "no_module", "quota_exceeded"]
        | Unchanged
    ) = Field(alias="Reply")
    error: dict[str, Any] | None = Field(None, alias="Error", description="details of a refusal")


class ListReply(Reply):
    """A page of an account's tasks."""

    reply: list[TaskBody] | Literal["bad_start_key"] = Field(alias="Reply")
    start_key: str | None = Field(None, alias="Start-Key")
    next_start_key: str | None = Field(None, alias="Next-Start-Key", description="absent on the last page")


class OneTaskReply(Reply):
    """A reply about one task, which may be unknown."""

    defer_response: Literal[True] | None = Field(
        None, alias="Defer-Response", description="only with not_found: another responder may know better"
    )


class ReadReply(OneTaskReply):
    """The task as it is."""

    reply: TaskBody | DetailedTask | ExplainedTask | Literal["not_found"] = Field(alias="Reply")


class StackReply(OneTaskReply):
    """The stack of a run."""

    reply: Stack | Literal["not_found", "not_running"] = Field(alias="Reply")


class LogReply(OneTaskReply):
    """Some of a task's log."""

    reply: LogPage | Literal["datastore_fault", "not_found"] = Field(alias="Reply")


class AuditReply(OneTaskReply):
    """A page of the audit, newest first."""

    reply: list[AuditEntry] | Literal["bad_start_key", "datastore_fault", "not_found"] = Field(alias="Reply")
    start_key: str | None = Field(None, alias="Start-Key")
    next_start_key: str | None = Field(None, alias="Next-Start-Key", description="absent on the last page")


class PoolReply(Header):
    """Every slot of the pool."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    reply: list[Slot] = Field(alias="Reply")


class StartReply(OneTaskReply):
    """The task, started."""

    reply: TaskBody | Literal["already_started", "not_found", "quota_exceeded"] | Unchanged = Field(
        alias="Reply"
    )
    error: dict[str, Any] | None = Field(None, alias="Error", description="details of a refusal")


class StopReply(OneTaskReply):
    """The task, ended or about to be."""

    reply: TaskBody | Literal["not_found", "not_running"] | Unchanged = Field(alias="Reply")


class RetryReply(OneTaskReply):
    """The task, started once more."""

    reply: TaskBody | Literal["not_failed", "not_found", "quota_exceeded"] | Unchanged = Field(alias="Reply")
    error: dict[str, Any] | None = Field(None, alias="Error", description="details of a refusal")


class ScheduleReply(Header):
    """A schedule, as it is after what was asked."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    reply: (
        ScheduleShown
        | Literal[
            "bad_arguments", "no_function", "no_module", "no_schedule", "quota_exceeded", "task_running"
        ]
        | Unchanged
    ) = Field(alias="Reply")
    error: dict[str, Any] | None = Field(None, alias="Error", description="details of a refusal")


class ScheduleListReply(Header):
    """All schedules of an account, as they were added."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    reply: list[ScheduleShown] = Field(alias="Reply")


class RemoveReply(OneTaskReply):
    """The task as it was last."""

    reply: TaskBody | Literal["not_found", "task_running"] | Unchanged = Field(alias="Reply")


class LookupReply(Header):
    """The catalogue, or the asked part of it; empty if there is none."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    help: dict[str, dict[str, FunctionHelp]] = Field(alias="Help")


class SnapshotReply(Header):
    """Where the snapshot is and what it holds."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    reply: dict[str, Any] | Literal["datastore_fault", "too_soon"] = Field(alias="Reply")
    error: dict[str, Any] | None = Field(None, alias="Error", description="when to ask again")


class ReloadReply(Header):
    """The version of each module that was loaded, by the last part of its path."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    reply: dict[str, str] | Literal["cannot_reload"] = Field(alias="Reply")
    error: dict[str, Any] | None = Field(None, alias="Error", description="why not")


class Breaker(BaseModel):
    """A function that is left alone."""

    function: str = Field(description="as module.function")
    state: Literal["open", "half_open"] = Field(description="half open: the next run decides")
    until: GregorianSeconds | None = Field(None, description="when one is tried; absent if a person decides")


class BreakerReply(Header):
    """All functions that are left alone."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    reply: list[Breaker] | Literal["no_module", "no_function"] = Field(alias="Reply")
    error: dict[str, Any] | None = Field(None, alias="Error", description="which")


class ErrorReply(Header):
    """The answer to a message that is no valid request."""

    event_category: Literal["error"] = Field(alias="Event-Category")
    msg_id: str = Field(alias="Msg-ID", description="the message's own; empty if it has none that is a text")
    error_message: str = Field(alias="Error-Message")
    request: dict[str, Any] = Field(alias="Request")
    errors: dict[str, Any] | None = Field(None, alias="Errors", description="{path: {rule: {message, …}}}")


class TaskEvent(Header):
    """Something happened to a task."""

    event_category: Literal["tasks"] = Field(alias="Event-Category")
    account_id: AccountId = Field(alias="Account-ID")
    task_id: TaskId = Field(alias="Task-ID")
    task: TaskBody = Field(alias="Task")


class Advertise(Header):
    """The heartbeat by which a Kazoo cluster sees the service."""

    model_config = ConfigDict(extra="forbid")

    event_category: Literal["nodes"] = Field(alias="Event-Category")
    expires: int = Field(alias="Expires", description="milliseconds")
    whapps: dict[str, dict[str, int]] = Field(alias="WhApps")
    used_memory: int = Field(alias="Used-Memory", description="bytes")
    processes: int = Field(alias="Processes")
    version: str = Field(alias="Version")
    zone: str = Field(alias="Zone")
    md5: str = Field(description="base64url of the md5 of the node's name, unpadded")
