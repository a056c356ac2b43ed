"""`GET …/tasks/audit` and `GET …/{ID}/audit`: who did what with an account's tasks, or with one of them.

Touches only the caller it is given; chosen by `route`, called by the pipeline.
"""

from __future__ import annotations

from kazoo_tasks.gateway.answer import Success
from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.gateway.fault import FaultError, unknown
from kazoo_tasks.gateway.query import audit_fields
from kazoo_tasks.gateway.verb import listed
from kazoo_tasks.model.identity import TASK_ID
from kazoo_tasks.ports import Caller


async def read_audit(asked: Asked, caller: Caller) -> Success:
    """The audit, or a page of it, newest first; the task may be gone."""
    fields: dict[str, object] = {"Account-ID": asked.account_id, **audit_fields(asked.query)}
    if asked.task_id:
        if not TASK_ID.fullmatch(asked.task_id):
            raise FaultError(unknown(asked.task_id))
        fields["Task-ID"] = asked.task_id
    return listed(asked, await caller.call("audit_req", fields))
