"""What goes wrong, in the words of REST: one table of refusals, one of error branches.

Pure; the verbs look up a reply's word here, the pipeline an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.model.errors import BadRequest, BusUnavailable, KazooTasksError
from kazoo_tasks.wire.codec import MAX_BODY_BYTES
from kazoo_tasks.wire.reply import STORE_FAULT
from kazoo_tasks.wire.validation import Problems, problem

_RECONNECTED_S: Final = "2"
_WRITABLE_S: Final = "10"
_QUOTA_S: Final = "60"


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that is an error."""

    status: int
    message: str
    data: object
    headers: Mapping[str, str] = field(default_factory=dict)


class FaultError(KazooTasksError):
    """The request ends here, with this fault."""

    def __init__(self, fault: Fault) -> None:
        """Keep the fault."""
        super().__init__(fault.message)
        self.fault = fault


def _plain(status: int, message: str, text: str, **headers: str) -> Fault:
    return Fault(status, message, {"message": text}, {k.replace("_", "-"): v for k, v in headers.items()})


NOT_FOUND: Final = _plain(404, "not_found", "not found")
INVALID_CREDENTIALS: Final = _plain(401, "invalid_credentials", "invalid credentials")
FORBIDDEN: Final = _plain(403, "forbidden", "forbidden")
CONFLICT: Final = _plain(409, "datastore_conflict", "conflicting documents")
TOO_MANY: Final = _plain(429, "too_many_requests", "too many requests", Retry_After=_QUOTA_S)
UNSPECIFIED: Final = _plain(500, "unspecified_fault", "unspecified fault")
STORE_DOWN: Final = _plain(503, "datastore_fault", "datastore fatal error", Retry_After=_WRITABLE_S)
#: More is asked at once than there is memory for.
OVERLOADED: Final = _plain(503, "overloaded", "overloaded", Retry_After=_RECONNECTED_S, Connection="close")
#: No HTTP. What it is instead is not repeated: there may be a token in it.
UNREADABLE: Final = _plain(400, "invalid_request", "invalid request", Connection="close")
UNREACHABLE: Final = _plain(503, "datastore_unreachable", "datastore timeout", Retry_After=_RECONNECTED_S)
#: The sender is too slow to be waited for, so its connection is not kept either.
BODY_TIMEOUT: Final = _plain(408, "request_timeout", "request timeout", Connection="close")
TOO_LARGE: Final = Fault(
    413,
    "validation error",
    problem(
        "file",
        "maxSize",
        f"Payload or Files must not be more than {MAX_BODY_BYTES} bytes",
        target=MAX_BODY_BYTES,
    ),
)


def invalid(problems: Problems | dict[str, Any]) -> Fault:
    """What the client sent does not fit; all problems at once."""
    return Fault(400, "validation error", problems)


def not_json(reason: str) -> Fault:
    """The body cannot be read."""
    return invalid(problem("json", "invalid", reason, target="body"))


def invalid_account(account_id: str) -> Fault:
    """The path has something else where the account belongs."""
    return _plain(404, "bad identifier", f"invalid account_id '{account_id}'")


def wrong_method(allowed: str) -> Fault:
    """The path is known, with other methods."""
    return _plain(405, "invalid_method", "method not allowed", Allow=allowed)


def wrong_range(size: int) -> Fault:
    """There are no such bytes."""
    return _plain(
        416, "invalid_range", f"expected a range within {size} bytes", Content_Range=f"bytes */{size}"
    )


def unknown(name: object) -> Fault:
    """No such thing: the spelling with a space."""
    return Fault(404, "bad identifier", [name])


def _wrong_state(asked: Asked, _: dict[str, Any]) -> Fault:
    """A known thing in the wrong state: the spelling with an underscore."""
    return Fault(404, "bad_identifier", {"cause": asked.task_id, "message": "bad identifier"})


def _no_function(_: Asked, detail: dict[str, Any]) -> Fault:
    call = f"{detail.get('module')}:{detail.get('function')}/{detail.get('arity')}"
    said = {"M:F/A": call, "cause": "no such function", "message": "bad identifier"}
    return Fault(404, "bad_identifier", said)


def _too_many(_: Asked, detail: dict[str, Any]) -> Fault:
    said: dict[str, Any] = {name: detail[name] for name in ("quota", "limit", "used") if name in detail}
    after = str(detail.get("retry_in_s", _QUOTA_S))
    return Fault(429, "too_many_requests", {**said, "message": "too many requests"}, {"Retry-After": after})


def _bad_start_key(asked: Asked, _: dict[str, Any]) -> Fault:
    key = asked.query.get("start_key")
    return invalid(problem("start_key", "invalid", "Value is not a start key of this list", value=key))


#: What the gateway says for each word with which the service refuses, given the reply's `Error`.
REFUSALS: Final[Mapping[str, Callable[[Asked, dict[str, Any]], Fault]]] = {
    "already_started": _wrong_state,
    "bad_arguments": lambda _, detail: invalid(detail),
    "bad_start_key": _bad_start_key,
    "cannot_reload": lambda *_: UNSPECIFIED,
    "msg_id_conflict": lambda *_: CONFLICT,
    "no_function": _no_function,
    "no_module": lambda _, detail: unknown(detail.get("module")),
    "no_schedule": lambda asked, _: unknown(asked.task_id),
    "not_failed": _wrong_state,
    "not_found": lambda asked, _: unknown(asked.task_id),
    "not_running": _wrong_state,
    "quota_exceeded": _too_many,
    "task_running": _wrong_state,
    "too_soon": _too_many,
    STORE_FAULT: lambda *_: STORE_DOWN,
}


def fault_of(error: Exception) -> Fault | None:
    """What the client is told of an error; `None` if it is none that may happen here."""
    match error:
        case FaultError():
            return error.fault
        case BadRequest():
            return invalid(error.problems)
        case BusUnavailable():
            return UNREACHABLE
        case _:
            return None
