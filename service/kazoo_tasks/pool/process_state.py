"""What belongs to the process and not to the task: how the child was born, and how it is after a run.

Touches the process that it runs in; used by pool.child, which has it put back after each run what a task changed.
"""

from __future__ import annotations

import _locale
import _signal  # type: ignore[import-not-found]  # what `signal` wraps, at ten times the cost
import _thread
import fcntl
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from kazoo_tasks.pool.descendants import children, end_children

_INTERVAL_S: Final = 0.005
_BLOCK: Final = int(signal.SIG_BLOCK)
#: How long processes that a run left behind may take to die.
_SWEEP_S: Final = 1.0
#: Those that programs handle; to ask for all 64, and for all 16 limits, would take as long as the rest.
_NAMES: Final = "TERM INT HUP QUIT CHLD PIPE ALRM USR1 USR2 ABRT CONT TSTP URG IO"
_SIGNALS: Final = tuple(int(signal.Signals[f"SIG{name}"]) for name in _NAMES.split())
_LIMITS: Final = (
    *(
        resource.RLIMIT_NOFILE,
        resource.RLIMIT_AS,
        resource.RLIMIT_DATA,
        resource.RLIMIT_STACK,
        resource.RLIMIT_CPU,
    ),
    *(resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE),
)


class _Part(NamedTuple):
    """One thing that a task may change; what cannot be put back has no way to."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object] | None = None


class ProcessState:
    """The process as it was when this was made, and when it is looked at again.

    To look at all of it takes 20 µs, as long as the shortest runs. It is done while nothing waits; and before a run
    that does, unless that is of the same function and the last look was a few milliseconds ago.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Remember all of it; `clock` gives monotonic seconds."""
        self._born = _look()
        self._clock = clock
        self._looked_at = clock()
        self._unseen: tuple[str, str] | None = None

    def before(self, function: tuple[str, str] | None) -> list[str]:
        """Make ready for a run of a function, or for doing nothing; gives the names of what cannot be put back."""
        unseen, self._unseen = self._unseen, function
        if unseen is None or (function == unseen and self._clock() - self._looked_at < _INTERVAL_S):
            return []
        return self.restore()

    def restore(self) -> list[str]:
        """Put back what was changed; gives the names of what could not be."""
        self._looked_at = self._clock()
        with suppress(
            OSError
        ):  # changed so far that it cannot even be looked at, such as a directory that is gone
            if _look() == self._born:
                return []
        return [part.name for part, born in zip(_PARTS, self._born, strict=True) if not _is_as(part, born)]


def _look() -> list[object]:
    return [get() for _, get, _ in _PARTS]


def _is_as(part: _Part, born: object) -> bool:
    with suppress(OSError):
        if part.get() == born:
            return True
    if part.put is None:
        return False
    with suppress(OSError, ValueError, TypeError):
        part.put(born)
        return bool(part.get() == born)
    return False


def _environment() -> dict[bytes, bytes]:
    # Decoding each variable, as its public ways do, takes a hundred times as long.
    data: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return data.copy()


def _set_environment(born: Any) -> None:
    os.environb.clear()
    os.environb.update(born)


def _handlers() -> list[Any]:
    return [_signal.getsignal(number) for number in _SIGNALS]


def _set_handlers(born: Any) -> None:
    for number, handler in zip(_SIGNALS, born, strict=True):
        if _signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _mask() -> set[int]:
    return set(_signal.pthread_sigmask(_BLOCK, ()))


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in _LIMITS]


def _set_limits(born: Any) -> None:
    for limit, values in zip(_LIMITS, born, strict=True):
        if resource.getrlimit(limit) != values:
            resource.setrlimit(limit, values)


def _end_processes(born: Any) -> None:
    left = len(children().difference(born))
    end_children(_SWEEP_S, keep=born)
    # To where the author finds what the function printed.
    os.write(2, f"ended {left} process{'es' * (left > 1)} that a run had left behind\n".encode())


def _streams() -> tuple[object, ...]:
    return sys.stdin, sys.stdout, sys.stderr, sys.stdout is None or sys.stdout.closed


def _set_streams(born: Any) -> None:
    sys.stdin, sys.stdout, sys.stderr, _ = born


def _standard_descriptors() -> tuple[int, int, int]:
    """Closed, or with other flags: what else is put in their place is hardly opened like a pipe's end."""
    return fcntl.fcntl(0, fcntl.F_GETFL), fcntl.fcntl(1, fcntl.F_GETFL), fcntl.fcntl(2, fcntl.F_GETFL)


def _next_descriptor() -> int:
    """The kernel gives the lowest that is free: a higher one than at birth means that some are left open."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _filters() -> list[object]:
    return list(warnings.filters)


def _set_filters(born: Any) -> None:
    with warnings.catch_warnings():  # whose end is the one public way to say that they changed
        warnings.filters[:] = born  # type: ignore[index]  # a list
    warnings.filters[:] = born  # type: ignore[index]  # as above


_PARTS: Final = (
    # First: without descriptors to be had the others cannot be looked at.
    _Part("resource limits", _limits, _set_limits),
    _Part("processes that go on", children, _end_processes),
    _Part("threads that go on", _thread._count),  # noqa: SLF001 - `threading` knows only of its own
    _Part("standard input or output", _standard_descriptors),
    _Part("open descriptors", _next_descriptor),
    _Part(
        "niceness",
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda born: os.setpriority(os.PRIO_PROCESS, 0, born),
    ),
    _Part("working directory", os.getcwd, os.chdir),
    _Part("umask", _umask, os.umask),
    _Part("environment", _environment, _set_environment),
    _Part("signal handlers", _handlers, _set_handlers),
    _Part("signal mask", _mask, lambda born: signal.pthread_sigmask(signal.SIG_SETMASK, born)),
    _Part(
        "timer",
        lambda: signal.getitimer(signal.ITIMER_REAL),
        lambda _: signal.setitimer(signal.ITIMER_REAL, 0),
    ),
    _Part("sys.stdin, stdout or stderr", _streams, _set_streams),
    _Part("warnings filters", _filters, _set_filters),
    _Part(
        "locale",
        lambda: _locale.setlocale(_locale.LC_ALL),
        lambda born: _locale.setlocale(_locale.LC_ALL, born),
    ),
    _Part("default socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    _Part("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
)
