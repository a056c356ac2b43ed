"""Task functions of the fault lab: quick ones, short ones, and ones whose every run leaves a line in a file.

Imported by the service and its children; touches the files whose paths it is given.
"""

import fcntl
import os
import time
from pathlib import Path

from kazoo_tasks import Retry, context, task

_MILLISECONDS = 1000


def _leave_a_line(path: str, tag: str) -> None:
    # One write with O_APPEND is whole, whoever else writes and whenever we are killed.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{tag} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


def _rest(duration_ms: int) -> None:
    time.sleep(duration_ms / _MILLISECONDS)


def _exclusively(path: str, tag: str, duration_ms: int) -> str:
    """Leave a line, and one that nobody asked for if somebody else is here."""
    _leave_a_line(path.partition("?")[0], tag)
    with Path(path).open("a", encoding="ascii") as here:
        try:
            # Whoever dies lets go of it.
            fcntl.flock(here, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _leave_a_line(path.partition("?")[0], f"{tag}+beside-another")
        _rest(duration_ms)
    return tag


@task
def nothing(tag: str) -> str:
    """Return at once."""
    return tag


@task(idempotent=True)
def nap(tag: str, duration_ms: int) -> str:
    """Return after a while; may be run again."""
    _rest(duration_ms)
    return tag


@task
def fail(tag: str) -> None:
    """Raise an exception."""
    raise ValueError(tag)


@task
def effect(tag: str, path: str, duration_ms: int) -> str:
    """Do something that must not be done twice."""
    _leave_a_line(path, tag)
    _rest(duration_ms)
    return tag


@task(idempotent=True)
def effect_again(tag: str, path: str, duration_ms: int) -> str:
    """Do something that may be done again after an interruption."""
    _leave_a_line(path, tag)
    _rest(duration_ms)
    return tag


@task(max_running=1)
def alone(tag: str, path: str, duration_ms: int) -> str:
    """Find nobody else who runs this."""
    return _exclusively(f"{path}?alone", tag, duration_ms)


@task
def keyed(tag: str, path: str, duration_ms: int, key: str) -> str:
    """Find nobody else with this key."""
    return _exclusively(f"{path}?{key}", tag, duration_ms)


@task(retry=Retry(3, 1, on=("error",)))
def retried(tag: str, path: str) -> str:
    """Leave a line each time, and succeed at the third."""
    _leave_a_line(path, tag)
    if context().attempt < 3:
        raise ValueError(tag)
    return tag
