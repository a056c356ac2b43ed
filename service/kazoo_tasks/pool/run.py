"""One run inside the child: what the function is told of it, which limits hold, and how it is asked to end.

Touches the process that it runs in; used by pool.child around each call of a function.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from types import FrameType
from typing import Any, Final

from kazoo_tasks.authoring import Context, Stopping, TimedOut, stepped
from kazoo_tasks.pool.descendants import end_children
from kazoo_tasks.pool.frame import Kind, Request, tag
from kazoo_tasks.pool.progress import Progress
from kazoo_tasks.pool.result import encode
from kazoo_tasks.pool.said import Record, Said

Function = Callable[..., Any]
Send = Callable[[Kind, bytes], None]

_MAKING: Final = threading.Lock()
#: As CPython marks code objects; `inspect`, which has names for them, is a megabyte in every child.
_GENERATOR: Final = 0x20
_COROUTINE: Final = 0x80
#: The service's watch and this process's clock need not be quite the same.
_EARLY_S: Final = 0.1
#: How long that may take to die which a run has left behind, when its child is told to end.
_SWEEP_S: Final = 0.2


class Stops:
    """SIGTERM as an exception in the task that runs, and as the end of a child that runs none.

    Attributes:
        asked: The task that runs has been asked to end.
        deadline: Monotonic seconds at which it will be, if it has a time-out.
    """

    def __init__(self) -> None:
        """Take the signal over; only in the main thread."""
        self.asked = False
        self._ask: Callable[[], object] = self._raise
        self.deadline: float | None = None
        self._is_running = self._is_busy = self._is_due = False
        signal.signal(signal.SIGTERM, self._signalled)

    def prepare(self, timeout_s: float | None, *, cooperative: bool) -> None:
        """Get ready for a task."""
        self.asked = self._is_due = False
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._ask = _nothing if cooperative else self._raise

    def begin(self) -> None:
        """Have what runs from here on be asked to end."""
        self._is_running = True

    def end(self) -> None:
        """Ask nothing of what comes after it."""
        self._is_running = False

    def cancelling(self, cancel: Callable[[], object]) -> None:
        """Do this instead of raising, which an event loop would take for a fault of its own."""
        if self._ask is not _nothing:
            self._ask = cancel

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Ask only after what is done inside: half a frame would make all that follows it unreadable.

        What another thread does is never cut, since the main thread is the one that is asked.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False
        if self._is_due:
            self._is_due = False
            self._ask()

    def reason(self) -> Stopping:
        """What a task is told that is asked to end now."""
        is_late = self.deadline is not None and time.monotonic() >= self.deadline - _EARLY_S
        return TimedOut() if is_late else Stopping()

    def _raise(self) -> None:
        raise self.reason()

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_running:
            # What the last run has left may not have been looked for, and the fork server may be gone.
            end_children(_SWEEP_S)
            # There is nobody to be asked: the end that the signal means by itself.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.asked = True
        if self._is_busy:
            self._is_due = True
        else:
            self._ask()


def _nothing() -> None:
    pass


class Run:
    """What a function may know and tell of its run; most never ask, so little is made before one does."""

    def __init__(self, request: Request, stops: Stops, send: Send, said: Said, max_kept_bytes: int) -> None:
        """`send` takes a frame to the service; what is kept for the next attempt has at most so many bytes."""
        self._request = request
        self._stops = stops
        self._send = send
        self._said = said
        self._max_kept_bytes = max_kept_bytes
        self._progress: Progress | None = None
        self._context: Context | None = None
        self._is_over = False

    def context(self) -> Context:
        """The same for all of the run, and for threads that it leaves behind, who are not heard any more."""
        # A thread may ask for the first time while another does.
        with _MAKING:
            if self._context is None:
                self._context = self._made()
            return self._context

    def finish(self) -> None:
        """Send what is still to be sent; the run is over."""
        with _MAKING:
            self._is_over = True
        if self._progress is not None:
            self._progress.finish()

    def _made(self) -> Context:
        request, stops = self._request, self._stops
        self._progress = Progress(partial(self._tell, Kind.PROGRESS), time.monotonic)
        if self._is_over:
            self._progress.finish()
        return Context(
            request.task_id,
            request.account_id,
            request.attempt,
            None if stops.deadline is None else time.time() + stops.deadline - time.monotonic(),
            json.loads(request.checkpoint) if request.checkpoint else None,
            stopping=lambda: stops.asked,
            keep=self._keep,
            report=self._progress.report,
            log=self._log,
        )

    def _log(self, text: str, /, *, level: str = "info", **fields: object) -> None:
        self._said.tell(self._request.task_id, Record(str(level), str(text), "", fields))

    def _keep(self, checkpoint: object) -> None:
        self._tell(Kind.CHECKPOINT, encode(checkpoint, self._max_kept_bytes))

    def _tell(self, kind: Kind, text: bytes) -> None:
        with self._stops.undisturbed():
            self._send(kind, tag(self._request.task_id, text))


def limits_of(request: Request) -> dict[str, Any]:
    """Those of the run that this process keeps to by itself, by their names in `model.limits`."""
    return _parsed(request.limits) if request.limits else {}


@cache
def _parsed(text: bytes) -> dict[str, Any]:
    limits: dict[str, Any] = json.loads(text)
    return limits


def set_limits(limits: dict[str, Any]) -> None:
    """Have the kernel hold this process to them; they are put back with all else that a run changes."""
    if not limits:
        return
    if "cpu_s" in limits:
        used = resource.getrusage(resource.RUSAGE_SELF)
        # Whole seconds from the beginning of the process, not of the run.
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + limits["cpu_s"]) + 1)
    if "open_files" in limits:
        _lower(resource.RLIMIT_NOFILE, limits["open_files"])
    if "file_bytes" in limits:
        _lower(resource.RLIMIT_FSIZE, limits["file_bytes"])


def _lower(limit: int, value: int) -> None:
    # The soft one: a hard one could not be put back.
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def runner(function: Function, stops: Stops) -> Function:
    """What runs a function, whichever kind it is: plain, a coroutine function or a generator function."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & _COROUTINE:
        return lambda *arguments: _run_coroutine(function(*arguments), stops)
    if flags & _GENERATOR:
        return lambda *arguments: stepped(
            function(*arguments), lambda: stops.reason() if stops.asked else None
        )
    return function


def _run_coroutine(coroutine: Any, stops: Stops) -> Any:
    import asyncio  # noqa: PLC0415 - a megabyte that only such tasks need

    async def supervised() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        # From a signal handler, that is as from another thread: the loop may be asleep.
        stops.cancelling(lambda: loop.call_soon_threadsafe(task.cancel) if task else None)
        return await coroutine

    try:
        return asyncio.run(supervised())
    except asyncio.CancelledError as cancelled:
        if stops.asked:
            # Told as if it had been raised where the task was.
            raise stops.reason().with_traceback(cancelled.__traceback__) from None
        raise
