"""What a death means: a process's status and what the pool had done to it, put into a truthful outcome.

Pure; used by pool.slot.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from kazoo_tasks.model.errors import Corrupt
from kazoo_tasks.model.outcome import Failed, Failure, Outcome, Succeeded
from kazoo_tasks.pool import progress
from kazoo_tasks.pool.call import MAX_REASON, tail
from kazoo_tasks.pool.channel import CONNECTION_LOST
from kazoo_tasks.wire.codec import decode_object, normal_text

#: What a child may say of its own task; all else only the pool can know.
_FROM_CHILD = frozenset({Failure.ERROR, Failure.EXIT})
_NOTHING = Succeeded()
#: What a run says that let itself be told to end.
_TOLD = frozenset({"Stopping()", "TimedOut()"})
_UNSEEN = "ended unseen: the fork server, which would have told how, was gone"


@dataclass(slots=True)
class Handling:
    """What the pool did to a child.

    Attributes:
        stop_asked: Somebody wants the run to end.
        grace_s: How long the run had before SIGKILL, once it was sent.
        timeout_s: What the run was asked to end for having passed.
        limit: Which limit it was killed for, and by how much, such as `memory: 512 MiB > 256 MiB`.
        distrust: Why the pool killed it of its own accord.
    """

    stop_asked: bool = False
    grace_s: float | None = None
    timeout_s: float | None = None
    limit: str = ""
    distrust: str = ""


def of_death(worker: str, status: int | None, handling: Handling) -> Failed:
    """Judge a run whose child died before it had answered.

    Args:
        worker: Who ran it.
        status: Exit code, negative for a signal, `None` if nobody saw it.
        handling: What had been done to it.
    """
    if handling.limit:
        return Failed(worker, Failure.KILLED, handling.limit)
    if handling.stop_asked:
        return Failed(worker, Failure.STOPPED, f"stopped on request, {_ended_by(status, handling)}")
    if handling.timeout_s is not None:
        return Failed(worker, Failure.TIMEOUT, f"{_too_long(handling)}, {_ended_by(status, handling)}")
    if status == -signal.SIGXCPU:
        return Failed(worker, Failure.KILLED, "cpu: more seconds of processor time than its limit")
    if handling.distrust:
        return Failed(worker, Failure.KILLED, f"{in_words(status)}, by the pool: {handling.distrust}")
    killed = status is None or status < 0
    return Failed(worker, Failure.KILLED if killed else Failure.EXIT, in_words(status))


def of_result(worker: str, result: bytes, max_result_bytes: int) -> Outcome:
    """Judge a result; a child that is not what it seems may send any bytes, and they end up in replies."""
    if not result:
        return _NOTHING
    wanted = f"expected the result to be JSON of at most {max_result_bytes} bytes, got something else"
    try:
        return Succeeded(normal_text(result, max_result_bytes))
    except Corrupt as error:
        return Failed(worker, Failure.ERROR, f"{wanted}: {error}")


def of_failure(worker: str, said: bytes) -> Failed | None:
    """Read a FAILED frame; `None` if it is not what a child may say."""
    try:
        told = decode_object(said)
        failure, reason, trace = Failure(str(told["failure"])), told["reason"], told["trace"]
    except (Corrupt, ValueError, KeyError):
        return None
    if failure not in _FROM_CHILD or not isinstance(reason, str) or not isinstance(trace, str):
        return None
    return Failed(worker, failure, reason[:MAX_REASON], tail(trace))


def of_progress(said: bytes) -> bytes | None:
    """Read a report of progress as it is kept, which is JSON text; `None` if it is not what a child may say."""
    try:
        return progress.encode(**decode_object(said))
    except (Corrupt, TypeError, ValueError):
        return None


def of_checkpoint(said: bytes, limit: int) -> bytes | None:
    """Read what a run wants to be kept, of at most so many bytes; `None` if it is no JSON that can be kept."""
    try:
        return normal_text(said, limit)
    except Corrupt:
        return None


def in_words(status: int | None) -> str:
    """Say how a process ended.

    >>> in_words(-9), in_words(3)
    ('signal 9 (SIGKILL)', 'exit code 3')
    """
    if status is None:
        return _UNSEEN
    if status == CONNECTION_LOST:
        return f"exit code {status} (its connection to the service was lost)"
    return f"exit code {status}" if status >= 0 else f"signal {-status} ({_signal_name(-status)})"


def of_asked(failed: Failed, handling: Handling) -> Failed:
    """Judge what a run said of its failure that had been asked to end: that is how it ended, and not why."""
    how = "by SIGTERM" if failed.reason in _TOLD else failed.reason
    if handling.stop_asked:
        return Failed(failed.worker, Failure.STOPPED, f"stopped on request, {how}", failed.trace)
    if handling.timeout_s is not None:
        return Failed(failed.worker, Failure.TIMEOUT, f"{_too_long(handling)}, {how}", failed.trace)
    if failed.reason in _TOLD:
        # By somebody else, such as the task itself: as if the signal had done what it means.
        return Failed(failed.worker, Failure.KILLED, in_words(-signal.SIGTERM))
    return failed


def _too_long(handling: Handling) -> str:
    return f"it ran for longer than {handling.timeout_s:g} s"


def _ended_by(status: int | None, handling: Handling) -> str:
    if status == -signal.SIGKILL and handling.grace_s is not None:
        return f"by SIGKILL after {handling.grace_s:g} s grace"
    return "by SIGTERM" if status == -signal.SIGTERM else in_words(status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "real-time"
