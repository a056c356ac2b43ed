"""What an account may have at once, and who counts together when runs are limited.

Pure; set by the operator and by authors, held by the scheduler and at the door.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kazoo_tasks.model.reason import Reason
from kazoo_tasks.model.task import Task


class Quota(NamedTuple):
    """Of one account; `None` is no limit.

    Attributes:
        max_running: Tasks that run at once; others wait.
        starts_per_s: Runs that begin within a second; others wait.
        max_waiting: Tasks that are started and wait; one more is refused.
        max_stored: Tasks that there are at all, finished ones too; one more is refused.
    """

    max_running: int | None = None
    starts_per_s: int | None = None
    max_waiting: int | None = None
    max_stored: int | None = None


NO_QUOTA: Final = Quota()


class Contender(NamedTuple):
    """What limits look at of a task that is to run."""

    account_id: str
    module: str
    function: str
    key: str | None

    @classmethod
    def of(cls, task: Task) -> Contender:
        """That of a task."""
        return cls(task.account_id, task.module, task.function, task.concurrency_key)


class Group(NamedTuple):
    """Runs that share a limit.

    Attributes:
        reason: What is told of a task that has to wait for one of them to end.
        account_id: Whose they are; of all accounts together if there is none.
        name: The function's or the key's, if it is not all that the account runs.
    """

    reason: Reason
    account_id: str | None
    name: str | None = None

    @property
    def is_whole_account(self) -> bool:
        """Whether nothing of the account runs while it has no room."""
        return self.name is None


class Obstacle(NamedTuple):
    """Why a task may not run now.

    Attributes:
        group: Where it waits.
        reason: That of the group, or a more exact one.
        until: Seconds of the clock that only goes on; if there are none, until one of the group ends.
        running: How many of the group run, or are about to.
        limit: How many may.
    """

    group: Group
    reason: Reason
    until: float | None = None
    running: int | None = None
    limit: int | None = None
