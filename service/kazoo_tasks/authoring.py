"""What the author of a task module uses: the decorator, and progress from inside a task.

Standard library only, so that a child process carries nothing of the service; read by core.catalogue and pool.child.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar, overload

#: The attribute by which a function says that it may be run from outside.
OFFER_ATTRIBUTE = "__kazoo_task__"

_Function = TypeVar("_Function", bound=Callable[..., object])

#: Where progress goes; the child sets it for the length of one task.
progress_sink: ContextVar[Callable[[int, int | None, str | None], None] | None] = ContextVar(
    "progress_sink", default=None
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a function promises about itself.

    Attributes:
        idempotent: It may be run again after an interruption.
        timeout_s: Longest run in seconds, `None` for no limit of its own.
        memory_bytes: Address space that its process may take, `None` for no limit.
        max_concurrency: How many of it may run at once, `None` for as many as there are slots.
    """

    idempotent: bool = False
    timeout_s: float | None = None
    memory_bytes: int | None = None
    max_concurrency: int | None = None


@overload
def task(function: _Function, /) -> _Function: ...


@overload
def task(
    *,
    idempotent: bool = ...,
    timeout_s: float | None = ...,
    memory_bytes: int | None = ...,
    max_concurrency: int | None = ...,
) -> Callable[[_Function], _Function]: ...


def task(
    function: _Function | None = None,
    /,
    *,
    idempotent: bool = False,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
    max_concurrency: int | None = None,
) -> _Function | Callable[[_Function], _Function]:
    """Offer a function as a task; it stays an ordinary function.

    Positional parameters become the task's arguments. Their annotations are checked against the JSON values before
    the task is stored, so annotate with what JSON can hold: `str, int, float, bool, None, list, dict`, unions of
    them, `Literal`, `TypedDict`, or `object` for anything. What has a JSON form is made of it: `datetime, date, time,
    timedelta` (ISO 8601), `UUID`, `Decimal` (text or a number), an `Enum` (its value), `set, frozenset, tuple` and
    `NamedTuple` (an array), a dataclass and a pydantic model (an object). Anything else, such as `bytes` or a
    callable, is refused when the module is loaded. What is returned is written in the same forms.
    """
    offer = Offer(idempotent, timeout_s, memory_bytes, max_concurrency)

    def mark(marked: _Function) -> _Function:
        setattr(marked, OFFER_ATTRIBUTE, offer)
        return marked

    return mark if function is None else mark(function)


def report_progress(done: int, total: int | None = None, note: str | None = None) -> None:
    """Tell whoever watches the running task how far it is; outside a task it does nothing."""
    sink = progress_sink.get()
    if sink is not None:
        sink(done, total, note)
