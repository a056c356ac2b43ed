"""The verbs of REST: each asks the service over the bus and reads its reply.

Touches only the caller it is given; chosen by `route`, called by the pipeline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kazoo_tasks.gateway.addition import add_fields, msg_id, start_fields
from kazoo_tasks.gateway.answer import Answer, Page, Success
from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.gateway.fault import REFUSALS, FaultError, unknown
from kazoo_tasks.gateway.query import list_fields
from kazoo_tasks.model.identity import TASK_ID
from kazoo_tasks.ports import Caller

Verb = Callable[[Asked, Caller], Awaitable[Answer]]


class UnexpectedReplyError(Exception):
    """The service answered something that no service of this version does."""


async def list_catalogue(_: Asked, caller: Caller) -> Success:
    """What can be run; every account may know."""
    reply = await caller.call("lookup_req", {})
    if "Help" not in reply:
        raise UnexpectedReplyError(_preview(reply))
    return Success(reply["Help"])


async def list_tasks(asked: Asked, caller: Caller) -> Success:
    """The account's tasks, or a page of them."""
    fields = list_fields(asked.query)
    reply = await caller.call("list_req", {"Account-ID": asked.account_id, **fields})
    return listed(asked, reply)


async def add_tasks(asked: Asked, caller: Caller) -> Success:
    """One task more, or many."""
    fields = add_fields(asked)
    repeatable = msg_id(asked.account_id, asked.idempotency_key)
    reply = await caller.call("add_req", fields, msg_id=repeatable)
    return Success(granted(asked, reply), status=201)


async def ask_about(event: str, asked: Asked, caller: Caller, more: Mapping[str, object]) -> Any:
    """What the service says of the task of a path.

    Raises:
        FaultError: The task is unknown, or the service refuses.
    """
    if not TASK_ID.fullmatch(asked.task_id):
        raise FaultError(unknown(asked.task_id))
    fields = {"Account-ID": asked.account_id, "Task-ID": asked.task_id, **more}
    return granted(asked, await caller.call(event, fields))


def _about_one_task(event: str, more: Callable[[Asked], dict[str, object]] = lambda _: {}) -> Verb:
    async def verb(asked: Asked, caller: Caller) -> Success:
        return Success(await ask_about(event, asked, caller, more(asked)))

    return verb


def _explained(asked: Asked) -> dict[str, object]:
    return {"Explain": True} if asked.query.get("explain") == "true" else {}


def _later(asked: Asked) -> dict[str, object]:
    return {**start_fields(asked), **asked.origin()}


read_task = _about_one_task("read_req", _explained)
read_stack = _about_one_task("stack_req")
start_task = _about_one_task("start_req", _later)
retry_task = _about_one_task("retry_req", Asked.origin)
stop_task = _about_one_task("stop_req", Asked.origin)
remove_task = _about_one_task("remove_req", Asked.origin)


def granted(asked: Asked, reply: dict[str, object]) -> Any:
    """The value of a reply.

    Raises:
        FaultError: The reply is a word that says why not.
        UnexpectedReplyError: It is neither.
    """
    value = reply.get("Reply")
    if isinstance(value, dict | list):
        return value
    refusal = REFUSALS.get(value) if isinstance(value, str) else None
    if refusal is None:
        raise UnexpectedReplyError(_preview(reply))
    detail = reply.get("Error")
    raise FaultError(refusal(asked, detail if isinstance(detail, dict) else {}))


def listed(asked: Asked, reply: dict[str, object]) -> Success:
    """A list, or a page of one.

    Raises:
        FaultError: The reply is a word that says why not.
    """
    items = granted(asked, reply)
    next_key = reply.get("Next-Start-Key")
    asked_key = asked.query.get("start_key")
    if next_key is None and asked_key is None:
        return Success(items)
    key = asked_key or reply.get("Start-Key")
    return Success(items, page=Page(len(items), _text(key), _text(next_key)))


def _text(key: object) -> str | None:
    return key if isinstance(key, str) else None


def _preview(reply: dict[str, object]) -> str:
    """Enough of a reply to see whose mistake it is; its data are not for the log."""
    said = {key: reply.get(key) for key in ("Event-Category", "Event-Name", "Error-Message", "Errors")}
    return f"expected a reply as in the contract, got {said}"[:2_000]
