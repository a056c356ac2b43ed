"""Paths: which there are, and what can be done at each.

Pure; called by the pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from kazoo_tasks.gateway.audit import read_audit
from kazoo_tasks.gateway.fault import NOT_FOUND, FaultError, wrong_method
from kazoo_tasks.gateway.schedule import (
    add_schedule,
    change_schedule,
    list_schedules,
    read_schedule,
    remove_schedule,
    run_schedule,
)
from kazoo_tasks.gateway.task_log import read_log
from kazoo_tasks.gateway.verb import (
    Verb,
    add_tasks,
    list_catalogue,
    list_tasks,
    read_stack,
    read_task,
    remove_task,
    retry_task,
    start_task,
    stop_task,
)

#: Nothing to decode and nothing to refuse: nearly every path.
_PLAIN: Final = re.compile(r"(/[A-Za-z0-9_-]+)+/?")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of place, and its verbs by HTTP method."""

    verbs: Mapping[str, Verb]

    @property
    def allowed(self) -> str:
        """Every method that is answered there, as an `Allow` header lists them."""
        return ", ".join(["OPTIONS", *(["HEAD"] if "GET" in self.verbs else []), *self.verbs])

    def verb(self, method: str) -> Verb:
        """What a method does there; HEAD is a GET whose body is left out on the way.

        Raises:
            FaultError: Nothing.
        """
        verb = self.verbs.get("GET" if method == "HEAD" else method)
        if verb is None:
            raise FaultError(wrong_method(self.allowed))
        return verb


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads; parts that it does not have are empty."""

    resource: Resource
    account_id: str | None = None
    task_id: str = ""


_SCHEDULES: Final = Resource({"GET": list_schedules, "PUT": add_schedule})
_SCHEDULE: Final = Resource({"GET": read_schedule, "PATCH": change_schedule, "DELETE": remove_schedule})
_RUN_SCHEDULE: Final = Resource({"PATCH": run_schedule})
_CATALOGUE: Final = Resource({"GET": list_catalogue})
_TASKS: Final = Resource({"GET": list_tasks, "PUT": add_tasks})
_TASK: Final = Resource({"GET": read_task, "PATCH": start_task, "DELETE": remove_task})
_AUDIT: Final = Resource({"GET": read_audit})
_OF_ALL_TASKS: Final[Mapping[str, Resource]] = {"audit": _AUDIT, "schedules": _SCHEDULES}
#: By the last part of the path.
_OF_ONE_TASK: Final[Mapping[str, Resource]] = {
    "stop": Resource({"PATCH": stop_task}),
    "retry": Resource({"PATCH": retry_task}),
    "stack": Resource({"GET": read_stack}),
    "log": Resource({"GET": read_log}),
    "audit": _AUDIT,
}


def locate(raw_path: str) -> Place:
    """The place of a path as sent, percent-encoding and all.

    Raises:
        FaultError: There is none.
    """
    match _segments(raw_path):
        case ["v2", "tasks"]:
            return Place(_CATALOGUE)
        case ["v2", "accounts", account_id, "tasks", *rest]:
            return _of_account(account_id, rest)
        case _:
            raise FaultError(NOT_FOUND)


def _of_account(account_id: str, rest: list[str]) -> Place:
    match rest:
        case []:
            return Place(_TASKS, account_id)
        case [what] if what in _OF_ALL_TASKS:
            return Place(_OF_ALL_TASKS[what], account_id)
        case ["schedules", schedule_id]:
            return Place(_SCHEDULE, account_id, schedule_id)
        case ["schedules", schedule_id, "run"]:
            return Place(_RUN_SCHEDULE, account_id, schedule_id)
        case [task_id]:
            return Place(_TASK, account_id, task_id)
        case [task_id, what] if what in _OF_ONE_TASK:
            return Place(_OF_ONE_TASK[what], account_id, task_id)
        case _:
            raise FaultError(NOT_FOUND)


def _segments(raw_path: str) -> list[str]:
    """Split before decoding: an encoded slash makes no segment. One trailing slash is forgiven."""
    if _PLAIN.fullmatch(raw_path):
        return raw_path.strip("/").split("/")
    if not raw_path.startswith("/"):
        raise FaultError(NOT_FOUND)
    return [_segment(raw) for raw in raw_path[1:].removesuffix("/").split("/")]


def _segment(raw: str) -> str:
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeError as error:
        raise FaultError(NOT_FOUND) from error
    if text in ("", ".", "..") or "/" in text or not text.isprintable():
        raise FaultError(NOT_FOUND)
    return text
