"""The requests that arrive on the `tasks` exchange, one model each.

Uses pydantic; the listener parses with them, `schemas/` is written from them.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field
from typing_extensions import override

from kazoo_tasks.model.errors import BadRequest
from kazoo_tasks.model.task import Status
from kazoo_tasks.wire.codec import encode
from kazoo_tasks.wire.field import (
    MAX_BULK,
    MAX_PAGE,
    AccountId,
    GregorianSeconds,
    Name,
    TaskId,
    Text,
    Told,
)
from kazoo_tasks.wire.header import Header
from kazoo_tasks.wire.schedule import NewSchedule, ScheduleChanges, ScheduleId
from kazoo_tasks.wire.validation import not_listed, problem, validated
from kazoo_tasks.wire.wishes import Later, NewTask, Wishes

DEFAULT_PAGE: Final = 1_000
#: Below the 2 s that a caller waits.
MAX_LOG_WAIT_MS: Final = 1_000
#: What tells who asks, and not what is asked.
_WHO: Final = {
    *("app_name", "app_version", "msg_id", "server_id", "node"),
    *("auth_account_id", "request_id", "client_ip"),
}
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE)]


class Request(Header):
    """A request of one kind; `key` is what its routing key ends with."""

    key: ClassVar[str]
    #: An operator's, which has a routing key that a broker can keep from callers.
    is_operators: ClassVar[bool] = False
    event_category: Literal["tasks"] = Field(alias="Event-Category")
    account_id: AccountId | None = Field(None, alias="Account-ID")
    auth_account_id: Told = Field(None, alias="Auth-Account-ID", description="whose token it was")
    request_id: Told = Field(None, alias="System-Log-ID", description="what the client knows it by")
    client_ip: Told = Field(None, alias="Client-IP", description="where the gateway was asked from")

    @classmethod
    def routing_key(cls) -> str:
        """What it is published with."""
        return f"tasks.operator.{cls.key}" if cls.is_operators else f"tasks.{cls.key}"

    @property
    def owner(self) -> str:
        """Within whose requests the `Msg-ID` is unique."""
        return self.account_id or self.server_id or ""

    def check(self) -> None:
        """Have what no single field can tell.

        Raises:
            BadRequest: Fields are each right and do not go together.
        """

    def digest(self) -> bytes:
        """A hash of what is asked, whoever asks and however often."""
        return hashlib.blake2b(encode(self._asked()), digest_size=16).digest()

    def _asked(self) -> dict[str, Any]:
        return self.model_dump(exclude=_WHO)


class LookupRequest(Request):
    """What can be run?"""

    key = "lookup"
    event_name: Literal["lookup_req"] = Field(alias="Event-Name")
    module: Name | None = Field(None, alias="Category")
    function: Name | None = Field(None, alias="Action")


class AddRequest(Wishes, Request):
    """Add one task, or many of one account together; all or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["Tasks"],
                    "properties": dict.fromkeys(
                        (
                            "Module",
                            "Function",
                            "Arguments",
                            "Priority",
                            "Concurrency-Key",
                            "Retry",
                            "Start-At",
                            "Delay",
                        ),
                        False,
                    ),
                },
                {"required": ["Module", "Function", "Arguments"], "properties": {"Tasks": False}},
            ]
        }
    )

    key = "add"
    event_name: Literal["add_req"] = Field(alias="Event-Name")
    account_id: AccountId = Field(alias="Account-ID")
    module: Name | None = Field(None, alias="Module")
    function: Name | None = Field(None, alias="Function")
    arguments: list[Any] | None = Field(None, alias="Arguments")
    tasks: list[NewTask] | None = Field(None, alias="Tasks", max_length=MAX_BULK)
    start: bool = Field(default=False, alias="Start")
    auth_account_id: AccountId | None = Field(None, alias="Auth-Account-ID")

    @override
    def check(self) -> None:
        single = {"Module": self.module, "Function": self.function, "Arguments": self.arguments}
        missing = [key for key, value in single.items() if value is None]
        if self.tasks is None and missing:
            raise BadRequest(problem("Tasks", "required", f"Expected Tasks, or {', '.join(missing)} too"))
        if self.tasks is not None and (len(missing) < len(single) or self.wishes):
            raise BadRequest(problem("Tasks", "oneOf", f"Expected either Tasks or {', '.join(single)}"))

    @override
    def _asked(self) -> dict[str, Any]:
        # As ever: answers that an earlier release remembers are known by it.
        return {**super()._asked(), "auth_account_id": self.auth_account_id}

    @property
    def new_tasks(self) -> list[NewTask]:
        """What shall be added, whichever form it was asked in."""
        if self.tasks is not None:
            return self.tasks
        single: dict[str, Any] = {
            "module": self.module,
            "function": self.function,
            "arguments": self.arguments,
            **self.wishes,
        }
        return [NewTask.model_construct(**single)]


class ListRequest(Request):
    """The tasks of an account, a page at a time, in the order of their submission."""

    key = "list"
    event_name: Literal["list_req"] = Field(alias="Event-Name")
    account_id: AccountId = Field(alias="Account-ID")
    page_size: PageSize = Field(DEFAULT_PAGE, alias="Page-Size")
    start_key: Text | None = Field(None, alias="Start-Key")
    status: Literal[tuple(status.value for status in Status)] | None = Field(None, alias="Status")  # type: ignore[valid-type]  # built from the enum so that the words stand once
    module: Name | None = Field(None, alias="Module")
    function: Name | None = Field(None, alias="Function")
    created_from: GregorianSeconds | None = Field(None, alias="Created-From")
    created_to: GregorianSeconds | None = Field(None, alias="Created-To")


class OneTaskRequest(Request):
    """Something about one task; with an account that is not the task's, the task is not found."""

    task_id: Text = Field(alias="Task-ID")


class ReadRequest(OneTaskRequest):
    """How is a task?"""

    key = "read"
    event_name: Literal["read_req"] = Field(alias="Event-Name")
    explain: bool = Field(default=False, alias="Explain")


class StackRequest(OneTaskRequest):
    """Where is the run of a task?"""

    key = "stack"
    event_name: Literal["stack_req"] = Field(alias="Event-Name")


class LogRequest(OneTaskRequest):
    """What did a task print and log? Of the last attempt unless one is named."""

    key = "log"
    event_name: Literal["log_req"] = Field(alias="Event-Name")
    attempt: int | None = Field(None, alias="Attempt", ge=1)
    position: int = Field(0, alias="Position", ge=0, lt=2**63, description="the `next` of the page before")
    wait_ms: int = Field(
        0,
        alias="Wait-MS",
        ge=0,
        le=MAX_LOG_WAIT_MS,
        description="for more, if there is nothing from there on",
    )


class AuditRequest(Request):
    """Who did what with an account's tasks, or with one of them, which may be gone? Newest first."""

    key = "audit"
    event_name: Literal["audit_req"] = Field(alias="Event-Name")
    account_id: AccountId = Field(alias="Account-ID")
    task_id: TaskId | None = Field(None, alias="Task-ID")
    page_size: PageSize = Field(DEFAULT_PAGE, alias="Page-Size")
    start_key: Text | None = Field(None, alias="Start-Key")


class StartRequest(Later, OneTaskRequest):
    """Run a pending task, now or later."""

    key = "start"
    event_name: Literal["start_req"] = Field(alias="Event-Name")


class StopRequest(OneTaskRequest):
    """End a waiting or running task."""

    key = "stop"
    event_name: Literal["stop_req"] = Field(alias="Event-Name")


class RetryRequest(OneTaskRequest):
    """Run a failed task once more: its next attempt."""

    key = "retry"
    event_name: Literal["retry_req"] = Field(alias="Event-Name")


class RemoveRequest(OneTaskRequest):
    """Forget a task that is neither waiting nor running."""

    key = "remove"
    event_name: Literal["remove_req"] = Field(alias="Event-Name")


class ScheduleAddRequest(Request):
    """Start a task again and again."""

    key = "schedule_add"
    event_name: Literal["schedule_add_req"] = Field(alias="Event-Name")
    account_id: AccountId = Field(alias="Account-ID")
    schedule: NewSchedule = Field(alias="Schedule")


class ScheduleListRequest(Request):
    """All schedules of an account."""

    key = "schedule_list"
    event_name: Literal["schedule_list_req"] = Field(alias="Event-Name")
    account_id: AccountId = Field(alias="Account-ID")


class OneScheduleRequest(Request):
    """Something about one schedule; with an account that is not its own, it is not found."""

    schedule_id: ScheduleId = Field(alias="Schedule-ID")


class ScheduleReadRequest(OneScheduleRequest):
    """How is a schedule?"""

    key = "schedule_read"
    event_name: Literal["schedule_read_req"] = Field(alias="Event-Name")


class ScheduleChangeRequest(OneScheduleRequest):
    """Change a schedule, pause it or resume it."""

    key = "schedule_change"
    event_name: Literal["schedule_change_req"] = Field(alias="Event-Name")
    schedule: ScheduleChanges = Field(alias="Schedule")


class ScheduleRunRequest(OneScheduleRequest):
    """Start a schedule's task now."""

    key = "schedule_run"
    event_name: Literal["schedule_run_req"] = Field(alias="Event-Name")


class ScheduleRemoveRequest(OneScheduleRequest):
    """Remove a schedule."""

    key = "schedule_remove"
    event_name: Literal["schedule_remove_req"] = Field(alias="Event-Name")


class SnapshotRequest(Request):
    """Write a snapshot of the store now; an operator's request, not Kazoo's."""

    key = "snapshot"
    is_operators = True
    event_name: Literal["snapshot_req"] = Field(alias="Event-Name")


class PoolRequest(Request):
    """What is each slot doing? An operator's request."""

    key = "pool"
    is_operators = True
    event_name: Literal["pool_req"] = Field(alias="Event-Name")


class ReloadRequest(Request):
    """Load the task modules anew. An operator's request."""

    key = "reload"
    is_operators = True
    event_name: Literal["reload_req"] = Field(alias="Event-Name")


class BreakerRequest(Request):
    """Which functions are left alone? Or: leave one alone, or run it again. An operator's request."""

    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {"Module": ["Function", "Open"], "Function": ["Open"], "Open": ["Module"]}
        }
    )
    key = "breaker"
    is_operators = True
    event_name: Literal["breaker_req"] = Field(alias="Event-Name")
    module: Name | None = Field(None, alias="Module")
    function: Name | None = Field(None, alias="Function")
    open: bool | None = Field(None, alias="Open")

    @override
    def check(self) -> None:
        said = (self.module, self.function, self.open)
        if None in said and any(each is not None for each in said):
            raise BadRequest(
                problem("Open", "required", "Expected Module, Function and Open, or none of them")
            )


class CanaryRequest(Request):
    """Nothing is asked: that it arrives proves that requests do. The service's own."""

    key = "canary"
    event_name: Literal["canary_req"] = Field(alias="Event-Name")


REQUESTS: Final[dict[str, type[Request]]] = {
    f"{model.key}_req": model
    for model in (
        LookupRequest,
        AddRequest,
        ListRequest,
        ReadRequest,
        StackRequest,
        LogRequest,
        AuditRequest,
        StartRequest,
        StopRequest,
        RetryRequest,
        RemoveRequest,
        ScheduleAddRequest,
        ScheduleListRequest,
        ScheduleReadRequest,
        ScheduleChangeRequest,
        ScheduleRunRequest,
        ScheduleRemoveRequest,
        SnapshotRequest,
        PoolRequest,
        ReloadRequest,
        BreakerRequest,
        CanaryRequest,
    )
}


def parse_request(body: dict[str, Any], routing_key: str = "") -> Request:
    """The request that a message is.

    Raises:
        BadRequest: It lacks headers, is of an unknown kind, or its fields are wrong; all problems at once. Or it is an
            operator's and did not come as such.
    """
    name = body.get("Event-Name")
    model = REQUESTS.get(name) if isinstance(name, str) else None
    if model is None:
        header = validated(Header, body)
        raise BadRequest(not_listed("Event-Name", list(REQUESTS), header.event_name))
    if model.is_operators and routing_key != model.routing_key():
        said = f"Expected the routing key {model.routing_key()}"
        raise BadRequest(problem("Event-Name", "routing_key", said, value=routing_key))
    request = validated(model, body)
    request.check()
    return request
