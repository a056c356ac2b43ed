"""The messages that the service sends: replies, refusals, errors, events, heartbeats.

Pure; built from plain dictionaries, since nothing in them comes from outside, as `wire.promise` says they look.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kazoo_tasks.model.change import Kind
from kazoo_tasks.model.errors import BadRequest, NotFound, Refused, Unavailable
from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.body import task_object
from kazoo_tasks.wire.codec import JsonText, encode
from kazoo_tasks.wire.header import TASKS, Sender

#: What a request that would change something is answered with when the store cannot be written.
STORE_FAULT: Final = "datastore_fault"
#: The changes that are told to the outside; the others are bookkeeping.
EVENTS: Final = {
    Kind.ADDED: "task_added",
    Kind.STARTED: "task_started",
    Kind.PROGRESSED: "task_progress",
    Kind.RETRYING: "task_retrying",
    Kind.RETRIED: "task_retried",
    Kind.ENDED: "task_ended",
    Kind.REMOVED: "task_removed",
}


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


class Replies:
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
        message = self._sender.headers(TASKS, name, msg_id)
        message["Account-ID"] = task.account_id
        message["Task-ID"] = task.id
        message["Task"] = task_object(task)
        return f"tasks.event.{task.account_id}.{task.id}.{name}", encode(message)

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
