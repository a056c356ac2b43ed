"""Waiting, as Erlang's `timer` module offers it."""

import time

from kazoo_tasks.authoring import task

_MILLISECONDS_PER_SECOND = 1000


@task
def sleep(duration: object) -> None:
    """Wait for so many milliseconds.

    A value that is no number is accepted and fails when it runs, as it does in Erlang.
    """
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise ValueError(duration)  # noqa: TRY004 - Erlang has one class for both, `timeout_value`
    time.sleep(duration / _MILLISECONDS_PER_SECOND)
