"""What data and errors are wrapped in, keys in alphabetical order as the specification prints them.

Pure; called by `response`.
"""

from __future__ import annotations

from kazoo_tasks.gateway.answer import Page
from kazoo_tasks.gateway.fault import Fault

NO_TOKEN = "undefined"  # noqa: S105 - what Kazoo calls no token


def success_envelope(token: str, data: object, request_id: str, page: Page | None) -> dict[str, object]:
    """What a success is wrapped in; paging keys appear only where there is more than one page."""
    envelope: dict[str, object] = {"auth_token": token, "data": data}
    if page is not None and page.next_start_key is not None:
        envelope["next_start_key"] = page.next_start_key
    if page is not None:
        envelope["page_size"] = page.size
    envelope["request_id"] = request_id
    envelope["revision"] = "undefined"
    if page is not None and page.start_key is not None:
        envelope["start_key"] = page.start_key
    envelope["status"] = "success"
    return envelope


def error_envelope(token: str, fault: Fault, request_id: str) -> dict[str, object]:
    """What an error is wrapped in."""
    return {
        "auth_token": token,
        "data": fault.data,
        "error": str(fault.status),
        "message": fault.message,
        "request_id": request_id,
        "status": "error",
    }
