"""The task and its life: pending, waiting, running, terminated.

Pure; every transition is a method that gives a new task or refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from kazoo_tasks.model.errors import AlreadyStarted, NotFailed, NotRunning, TaskRunning


class Status(StrEnum):
    """Where a task is in its life, in the words that a list can be filtered by."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"


STATUSES: Final = tuple(Status)


class Retrying(NamedTuple):
    """What is known of a task that may be tried again, or was.

    Attributes:
        policy: JSON text of the one that it was given, if any.
        at: When it is tried again, in Gregorian seconds, until it is.
        history: JSON texts of the attempts that are over, with commas between; none of the last one.
    """

    policy: bytes | None = None
    at: int | None = None
    history: bytes | None = None


class Task(NamedTuple):
    """One submitted unit of work.

    A million of them live in memory, so JSON values stay the text they were sent as; and each is made anew with every
    step of its life, which a tuple allows at a fourth of what a frozen dataclass costs.

    Attributes:
        seq: Its place in the order of submission, unique in the service, never reused.
        arguments: JSON text of an array.
        submitted_at: Gregorian seconds, like every `*_at`.
        attempt: How often it was handed to a child.
        epoch: The service's start that handed it to its present child; 0 while no child has it.
        stop_asked: Somebody asked to stop it; remembered over a restart.
        error: What the caller reads when it failed: `(<worker>) class: reason`, then the stack trace.
        result: JSON text, if the function returned something.
        progress: JSON text of the last progress that the function reported.
        checkpoint: JSON text of what the function had kept for its next attempt, as long as there may be one.
        version: That of its module's source when it was last handed to a child.
        start_at: When it is to be started, if that was not when it was asked for.
        priority: From 0 to 9, the higher the sooner; that of its function if not given.
        retrying: Its attempts, if there may be several.
        began_at: When it was last handed to a child.
        schedule_id: Of the schedule that started it.
        concurrency_key: Those of an account with the same one run one after the other, or as its function says.
    """

    seq: int
    id: str
    account_id: str
    module: str
    function: str
    arguments: bytes
    submitted_at: int
    started_at: int | None = None
    ended_at: int | None = None
    attempt: int = 0
    epoch: int = 0
    stop_asked: bool = False
    error: str | None = None
    result: bytes | None = None
    progress: bytes | None = None
    checkpoint: bytes | None = None
    version: str | None = None
    priority: int | None = None
    start_at: int | None = None
    concurrency_key: str | None = None
    retrying: Retrying | None = None
    began_at: int | None = None
    schedule_id: str | None = None

    @property
    def retry_at(self) -> int | None:
        """When it is tried again, until it is."""
        return None if self.retrying is None else self.retrying.at

    @property
    def status(self) -> Status:
        """Where it is in its life."""
        if self.started_at is None:
            return Status.PENDING
        if self.ended_at is None:
            return Status.RUNNING if self.epoch else Status.WAITING
        return Status.SUCCESS if self.error is None else Status.FAILURE

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.started_at is not None and self.ended_at is None

    def start(self, at: int) -> Task:
        """Accept it for running; never before its submission, whatever a clock says that was set back.

        A time that was still to come is void: it is started now.

        Raises:
            AlreadyStarted: It was started before, whatever became of it.
        """
        if self.started_at is not None:
            raise AlreadyStarted
        start_at = self.start_at if self.start_at is None or self.start_at <= at else None
        return self._replace(started_at=max(at, self.submitted_at), start_at=start_at)

    def put_off(self, start_at: int) -> Task:
        """Have it started later.

        Raises:
            AlreadyStarted: It was started before, whatever became of it.
        """
        if self.started_at is not None:
            raise AlreadyStarted
        return self._replace(start_at=start_at)

    def assign(self, epoch: int, version: str | None = None, at: int | None = None) -> Task:
        """Hand it to a child, which has this version of its module.

        Raises:
            NotRunning: It does not wait.
        """
        if self.status is not Status.WAITING:
            raise NotRunning
        assigned = self._replace(attempt=self.attempt + 1, epoch=epoch, version=version, began_at=at)
        return assigned if self.retry_at is None else _with_retry_at(assigned, None)

    def requeue(self, history: bytes | None = None) -> Task:
        """Let it wait again after an interruption; its attempts stay counted.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        policy = None if self.retrying is None else self.retrying.policy
        retrying = self.retrying if history is None else Retrying(policy, None, history)
        return self._active()._replace(epoch=0, progress=None, retrying=retrying)

    def try_again(self, at: int, history: bytes) -> Task:
        """Let it wait for its next attempt, since this one failed.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        policy = None if self.retrying is None else self.retrying.policy
        return self._active()._replace(epoch=0, progress=None, retrying=Retrying(policy, at, history))

    def retry(self, at: int, history: bytes) -> Task:
        """Start it once more after its last attempt failed: the next one of the same task.

        Raises:
            NotFailed: It did not.
        """
        if self.status is not Status.FAILURE:
            raise NotFailed
        policy = None if self.retrying is None else self.retrying.policy
        return self._replace(
            started_at=max(at, self.submitted_at),
            ended_at=None,
            error=None,
            progress=None,
            epoch=0,
            stop_asked=False,
            retrying=Retrying(policy, at, history),
        )

    def take_back(self) -> Task:
        """Undo an assignment that no child has seen.

        Raises:
            NotRunning: It is not assigned.
        """
        if self.status is not Status.RUNNING:
            raise NotRunning
        taken = self._replace(attempt=self.attempt - 1, epoch=0)
        # What failed before goes on waiting for its next attempt, whose time has come.
        return _with_retry_at(taken, self.began_at) if taken.retrying and taken.retrying.history else taken

    def ask_stop(self) -> Task:
        """Remember that it shall stop.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        return self._active()._replace(stop_asked=True)

    def report(self, progress: bytes) -> Task:
        """Keep its last progress.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        return self._active()._replace(progress=progress)

    def keep(self, checkpoint: bytes) -> Task:
        """Keep something for its next attempt, instead of what was kept before.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        return self._active()._replace(checkpoint=checkpoint)

    def succeed(self, at: int, result: bytes | None) -> Task:
        """End it well.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        return self._active()._replace(ended_at=self._end(at), result=result, checkpoint=None)

    def fail(self, at: int, error: str) -> Task:
        """End it with an error.

        Raises:
            NotRunning: It is neither waiting nor running.
        """
        return self._active()._replace(ended_at=self._end(at), error=error, checkpoint=None)

    def check_removable(self) -> None:
        """Allow its removal.

        Raises:
            TaskRunning: It is waiting or running.
        """
        if self.is_active:
            raise TaskRunning

    def _active(self) -> Task:
        if not self.is_active:
            raise NotRunning
        return self

    def _end(self, at: int) -> int:
        """A clock set back must not make a task end before it began."""
        return max(at, self.started_at or at)


def _with_retry_at(task: Task, at: int | None) -> Task:
    return task._replace(retrying=(task.retrying or Retrying())._replace(at=at))


FINISHED: Final = (Status.SUCCESS, Status.FAILURE)
#: Whether a task has a status, without working out which it has: for looking through very many.
IS: Final[Mapping[Status, Callable[[Task], bool]]] = {
    Status.PENDING: lambda task: task.started_at is None,
    Status.WAITING: lambda task: not task.epoch and task.started_at is not None and task.ended_at is None,
    Status.RUNNING: lambda task: task.epoch != 0 and task.ended_at is None,
    Status.SUCCESS: lambda task: task.ended_at is not None and task.error is None,
    Status.FAILURE: lambda task: task.error is not None,
}
