"""An entry of the audit as both doors show it.

Pure; written by the listener, described by `wire.promise`.
"""

from __future__ import annotations

from typing import Any

from kazoo_tasks.model.audit import AuditEntry
from kazoo_tasks.wire.codec import JsonText


def audit_object(entry: AuditEntry) -> dict[str, Any]:
    """An entry, keys in alphabetical order; what was not said, or does not apply, is left out."""
    subject, origin = entry.subject, entry.origin
    is_one = subject.size == 1
    told = {
        "account_id": entry.account_id,
        "answer": entry.answer,
        "at": entry.at,
        "auth_account_id": origin.auth_account_id,
        "client_ip": origin.client_ip,
        "count": None if is_one and subject.task_id else subject.size,
        "detail": None if entry.detail is None else JsonText(entry.detail),
        "function": subject.function,
        "module": subject.module,
        "msg_id": origin.msg_id,
        "node": origin.node,
        "request_id": origin.request_id,
        "task_id": subject.task_id if is_one else None,
        "verb": entry.verb,
    }
    return {name: value for name, value in told.items() if value is not None}
