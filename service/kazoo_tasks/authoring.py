"""What the author of a task module uses: the decorator, and from inside a task what it is and how far it is.

Standard library only, so that a child process carries nothing of the service; read by core.catalogue and pool.child.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from typing import Unpack

#: The attribute by which a function says that it may be run from outside.
OFFER_ATTRIBUTE = "__kazoo_task__"

_Function = TypeVar("_Function", bound=Callable[..., object])


class Stopping(BaseException):
    """A running task is asked to end: raised in its main thread, so that `finally` and `with` do their work.

    What still runs when its grace is over is killed. No `Exception`, so that code which goes on after errors does not
    go on after this.
    """


class TimedOut(Stopping):
    """It is asked to end because it ran for longer than it may."""


def _unheard(_done: int, _total: int | None = None, _note: str | None = None) -> None:
    """There is nobody to tell."""


def _never() -> bool:
    return False


def _unlogged(_text: str, /, **_fields: object) -> None:
    """There is nobody to read it."""


def _forgotten(_checkpoint: object) -> None:
    """There is nobody to keep it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a running task may know of itself.

    Attributes:
        attempt: 1, or more if it was interrupted before and its function is idempotent.
        deadline: Unix time at which it is asked to end, if it has a time-out.
        checkpoint: What an earlier attempt kept by `keep`; the last of it.
        keep: Keeps a JSON value for the next attempt, instead of the last one: durable soon after. For functions that
            are idempotent by what they find done.
        log: Puts a line into the task's log: a text, and whatever belongs to it as keywords, of which `level` is
            `info` unless given. The standard library's `logging` gets there as well, from level INFO on.
        stopping: Whether it has been asked to end; for functions that are `cooperative` and ask for themselves.
    """

    task_id: str = "0" * 30
    account_id: str = "0" * 32
    attempt: int = 1
    deadline: float | None = None
    checkpoint: Any = None
    stopping: Callable[[], bool] = _never
    keep: Callable[[Any], None] = _forgotten
    report: Callable[[int, int | None, str | None], None] = _unheard
    log: Callable[..., None] = _unlogged


#: The higher the sooner, as in AMQP.
PRIORITIES: Final = range(10)
DEFAULT_PRIORITY: Final = 5
MAX_ATTEMPTS: Final = 50
MAX_BACKOFF_S: Final = 86_400
_NO_TASK: Final = Context()
#: Gives the context of the task that runs; most never ask, so it is made when one does.
running: ContextVar[Callable[[], Context]] = ContextVar("running", default=lambda: _NO_TASK)


def context() -> Context:
    """The task that calls this; outside of one, as in a test of the function, one of zeros that nobody stops."""
    return running.get()()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take before it is ended; `None` is no limit.

    Attributes:
        timeout_s: From its beginning until it is asked to end.
        grace_s: From being asked to end until it is killed.
        memory_bytes: Resident memory of its process and of all that this has started.
        cpu_s: Processor time of each of its processes.
        processes: How many it may have, its own included.
        open_files: Descriptors of each of its processes.
        file_bytes: Longest file that it may write.
        result_bytes: Longest result, as JSON text.
        log_bytes: How much is kept of what it prints and logs: its beginning and its end.
    """

    timeout_s: float | None = None
    grace_s: float | None = None
    memory_bytes: int | None = None
    cpu_s: float | None = None
    processes: int | None = None
    open_files: int | None = None
    file_bytes: int | None = None
    result_bytes: int | None = None
    log_bytes: int | None = None


#: Ends after which a task may be tried again; what was stopped is not, and what was interrupted goes by `idempotent`.
RETRIABLE: Final = ("error", "exit", "timeout", "killed")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, how soon and after which ends a task is tried again.

    Attributes:
        attempts: How often it is tried in all.
        backoff_s: The longest pause before the second attempt; it doubles with each. How long a pause is within that
            is chance (full jitter), so that what failed together is not tried together.
        max_backoff_s: The longest that it gets.
        on: Which ends, of `RETRIABLE`; all of them if not given.
    """

    attempts: int
    backoff_s: float = 10.0
    max_backoff_s: float = 3600.0
    on: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Take a policy that is one.

        Raises:
            ValueError: A number is out of bounds, or an end has another name.
        """
        if type(self.attempts) is not int or not 1 <= self.attempts <= MAX_ATTEMPTS:
            message = f"expected attempts to be an integer from 1 to {MAX_ATTEMPTS}, got {self.attempts!r}"
            raise ValueError(message)
        for name in ("backoff_s", "max_backoff_s"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (is_number and 0 <= value <= MAX_BACKOFF_S):
                message = f"expected {name} to be a number from 0 to {MAX_BACKOFF_S}, got {value!r}"
                raise ValueError(message)
        if unknown := [end for end in self.on or () if end not in RETRIABLE]:
            message = f"expected on to name ends of {', '.join(RETRIABLE)}, got {unknown[0]!r}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Offer(Limits):
    """What a function promises about itself, and the limits that it gives itself.

    Attributes:
        idempotent: It may be run again after an interruption.
        cooperative: It asks `context().stopping()` by itself, and no `Stopping` is raised in it.
        priority: Of its tasks that say none themselves: 0 to 9, the higher the sooner among those of one account.
        max_running: How many of its tasks run at once.
        max_running_per_account: How many of one account.
        max_running_per_key: How many of those of one account whose `concurrency_key` is the same.
        retry: Of its tasks that have no policy of their own. If it is not idempotent, only ends that are named here are
            ever tried again.
    """

    idempotent: bool = False
    cooperative: bool = False
    priority: int = DEFAULT_PRIORITY
    max_running: int | None = None
    max_running_per_account: int | None = None
    max_running_per_key: int = 1
    retry: Retry | None = None

    def __post_init__(self) -> None:
        """Take limits that are some, and a priority that is one.

        Raises:
            ValueError: A limit is not above zero, the priority is none, or it does not say what is tried again.
        """
        if self.retry is not None and self.retry.on is None and not self.idempotent:
            message = "expected retry to say on which ends, since the function is not idempotent, got none"
            raise ValueError(message)
        for name in ("max_running", "max_running_per_account", "max_running_per_key"):
            most = getattr(self, name)
            is_count = type(most) is int and most > 0
            if not is_count and (most is not None or name == "max_running_per_key"):
                message = f"expected {name} to be an integer above 0, got {most!r}"
                raise ValueError(message)
        if type(self.priority) is not int or self.priority not in PRIORITIES:
            message = f"expected priority to be an integer from 0 to 9, got {self.priority!r}"
            raise ValueError(message)
        for limit in fields(Limits):
            value = getattr(self, limit.name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (is_number and value > 0):
                message = f"expected {limit.name} to be a number above 0, got {value!r}"
                raise ValueError(message)


class _Promises(TypedDict, total=False):
    idempotent: bool
    cooperative: bool
    priority: int
    max_running: int | None
    max_running_per_account: int | None
    max_running_per_key: int
    retry: Retry | None
    timeout_s: float | None
    grace_s: float | None
    memory_bytes: int | None
    cpu_s: float | None
    processes: int | None
    open_files: int | None
    file_bytes: int | None
    result_bytes: int | None
    log_bytes: int | None


@overload
def task(function: _Function, /) -> _Function: ...


@overload
def task(**promises: Unpack[_Promises]) -> Callable[[_Function], _Function]: ...


def task(
    function: _Function | None = None, /, **promises: Unpack[_Promises]
) -> _Function | Callable[[_Function], _Function]:
    """Offer a function as a task; it stays an ordinary function.

    Positional parameters become the task's arguments. Their annotations are checked against the JSON values before
    the task is stored, so annotate with what JSON can hold: `str, int, float, bool, None, list, dict`, unions of
    them, `Literal`, `TypedDict`, or `object` for anything. What has a JSON form is made of it: `datetime, date, time,
    timedelta` (ISO 8601), `UUID`, `Decimal` (text or a number), an `Enum` (its value), `set, frozenset, tuple` and
    `NamedTuple` (an array), a dataclass and a pydantic model (an object). Anything else, such as `bytes` or a
    callable, is refused when the module is loaded. What is returned is written in the same forms.

    The function may be a coroutine function, which runs in an event loop of its own and is cancelled to stop it, or a
    generator function: what it yields is reported as progress (a count, or a tuple `done, total, note`), and what it
    returns is the result. `promises` are the fields of `Offer`.

    Raises:
        ValueError: A limit is not above zero, or the priority is none.
    """
    offer = Offer(**promises)

    def mark(marked: _Function) -> _Function:
        setattr(marked, OFFER_ATTRIBUTE, offer)
        return marked

    return mark if function is None else mark(function)


def report_progress(done: int, total: int | None = None, note: str | None = None) -> None:
    """Tell whoever watches the running task how far it is; outside a task it does nothing.

    Raises:
        ValueError: `done` or `total` is no count, or `note` no text of at most 1,024 bytes.
    """
    running.get()().report(done, total, note)


def stepped(steps: Generator[Any, None, Any], asked: Callable[[], Stopping | None]) -> Any:
    """What a generator function returns: each step is a report of progress, if it says something.

    Between two steps `asked` says why it is to end, if it is; a `Stopping` that is raised there it hears of as well.
    """
    try:
        while True:
            step = next(steps)
            if step is not None:
                report_progress(*(step if isinstance(step, tuple) else (step,)))
            if (why := asked()) is not None:
                steps.throw(why)
    except StopIteration as end:
        return end.value
    except Stopping as stopping:
        with suppress(StopIteration):
            steps.throw(stopping)
        raise
    finally:
        steps.close()
