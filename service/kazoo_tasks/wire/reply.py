"""The messages that the service sends: replies, refusals, errors, events, heartbeats.

Uses pydantic for what `schemas/` promises; built from plain dictionaries, since nothing in them comes from outside.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.model.change import Kind
from kazoo_tasks.model.errors import BadRequest, NotFound, Refused, Unavailable
from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.body import TaskBody, task_object
from kazoo_tasks.wire.codec import JsonText, encode
from kazoo_tasks.wire.header import TASKS, AccountId, Header, Sender, TaskId

#: What a request that would change something is answered with when the store cannot be written.
STORE_FAULT: Final = "datastore_fault"
#: The changes that are told to the outside; the others are bookkeeping.
EVENTS: Final = {
    Kind.ADDED: "task_added",
    Kind.STARTED: "task_started",
    Kind.PROGRESSED: "task_progress",
    Kind.ENDED: "task_ended",
    Kind.REMOVED: "task_removed",
}
#: Every word with which a request may be refused.
Refusal = Literal[
    "already_started",
    "bad_arguments",
    "bad_start_key",
    "datastore_fault",
    "msg_id_conflict",
    "no_function",
    "no_module",
    "not_found",
    "not_running",
    "quota_exceeded",
    "task_running",
]
#: Those for any request that would change something.
Unchanged = Literal["datastore_fault", "msg_id_conflict"]


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

    reply: TaskBody | Literal["not_found"] = Field(alias="Reply")


class StartReply(OneTaskReply):
    """The task, started."""

    reply: TaskBody | Literal["already_started", "not_found"] | Unchanged = Field(alias="Reply")


class StopReply(OneTaskReply):
    """The task, ended or about to be."""

    reply: TaskBody | Literal["not_found", "not_running"] | Unchanged = Field(alias="Reply")


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
    reply: dict[str, Any] | Literal["datastore_fault"] = Field(alias="Reply")


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


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a heartbeat tells of the service.

    Attributes:
        started_at: Gregorian seconds.
        used_memory: Bytes.
        expires_ms: When to give it up for dead, if no other heartbeat came.
    """

    started_at: int
    used_memory: int
    processes: int
    expires_ms: int
    zone: str


class Postman:
    """Writes the service's messages under its own name."""

    def __init__(self, sender: Sender) -> None:
        """Take the name to write under."""
        self._sender = sender

    def reply(self, event: str, msg_id: str, value: bytes, more: Mapping[str, object]) -> bytes:
        """A reply, given the JSON text of its value and further keys."""
        return self._message(event, msg_id, {"Reply": JsonText(value), **more})

    def help(self, msg_id: str, catalogue: dict[str, Any]) -> bytes:
        """The reply to a look-up, whose value has a key of its own in Kazoo."""
        return self._message("lookup_resp", msg_id, {"Help": catalogue})

    def refusal(self, event: str, msg_id: str, refused: Refused | Unavailable) -> bytes:
        """A reply that says no."""
        if isinstance(refused, Unavailable):
            return self._message(event, msg_id, {"Reply": STORE_FAULT})
        value: dict[str, Any] = {"Reply": refused.reply}
        if refused.detail is not None:
            value["Error"] = refused.detail
        if isinstance(refused, NotFound):
            value["Defer-Response"] = True
        return self._message(event, msg_id, value)

    def error(self, msg_id: object, request: dict[str, Any], error: BadRequest) -> bytes:
        """An `error_resp` to what was no valid request, so that even its `Msg-ID` may be anything."""
        headers = self._sender.headers("error", "error_resp", msg_id if isinstance(msg_id, str) else "")
        return encode({**headers, "Error-Message": str(error), "Errors": error.problems, "Request": request})

    def event(self, kind: Kind, task: Task, msg_id: str) -> tuple[str, bytes]:
        """The routing key and body of a task event; `kind` must be one of `EVENTS`."""
        name = EVENTS[kind]
        body = {"Account-ID": task.account_id, "Task-ID": task.id, "Task": task_object(task)}
        key = f"tasks.event.{task.account_id}.{task.id}.{name}"
        return key, self._message(name, msg_id, body)

    def canary(self, msg_id: str) -> bytes:
        """A request of our own to ourselves, which asks for nothing."""
        return self._message("canary_req", msg_id, {})

    def advertise(self, vitals: Vitals, msg_id: str) -> bytes:
        """A heartbeat for Kazoo's `nodes` exchange."""
        node = self._sender.node
        digest = hashlib.md5(node.encode(), usedforsecurity=False).digest()
        return encode(
            {
                **self._sender.headers("nodes", "advertise", msg_id),
                "App-Name": "kz_nodes",
                "Expires": vitals.expires_ms,
                "WhApps": {"pytasks": {"Startup": vitals.started_at}},
                "Used-Memory": vitals.used_memory,
                "Processes": vitals.processes,
                "Version": self._sender.version,
                "Zone": vitals.zone,
                "md5": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            }
        )

    def _message(self, event: str, msg_id: str, value: dict[str, Any]) -> bytes:
        message = self._sender.headers(TASKS, event, msg_id)
        message.update(value)
        return encode(message)
