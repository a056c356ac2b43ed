"""Task functions of the fault lab: quick ones, short ones, and ones whose every run leaves a line in a file.

Imported by the service and its children; touches the files whose paths it is given.
"""

import os
import time

from kazoo_tasks import task

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
