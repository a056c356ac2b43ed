"""The audit: what a request asks for as it is told, and what is told of its answer.

Pure; used by the ledger, the handlers and the retention, which have entries journalled with what they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from kazoo_tasks.core.registry import Registry
from kazoo_tasks.model.audit import OK, AuditEntry, Origin, Subject, runs_of
from kazoo_tasks.model.errors import NotFound
from kazoo_tasks.model.identity import seq_of
from kazoo_tasks.model.task import Task


class Deed(NamedTuple):
    """What a request that changes something asks for.

    Attributes:
        account_id: The request's; without one it is that of the task.
        subject: What it names; what a request adds has no ids yet.
        detail: See `AuditEntry`.
    """

    verb: str
    account_id: str | None
    origin: Origin
    subject: Subject
    detail: bytes | None = None

    def done(self, tasks: Sequence[Task], at: int) -> AuditEntry:
        """It was done, to these tasks."""
        subject = subject_of(tasks)
        return AuditEntry(tasks[0].account_id, at, self.verb, OK, subject, self.origin, self.detail)

    def done_otherwise(self, account_id: str, at: int) -> AuditEntry:
        """It was done, and not to tasks."""
        return AuditEntry(account_id, at, self.verb, OK, self.subject, self.origin, self.detail)

    def refused(self, registry: Registry, word: str, at: int) -> AuditEntry | None:
        """It was refused. Told to nobody if neither the request nor a task says whose it is.

        About a task it is only if the account has such a task: what does not exist can be named without end.
        """
        subject, account_id = self.subject, self.account_id
        if subject.task_id is not None:
            with suppress(NotFound):
                task = registry.get(subject.task_id, account_id)
                subject, account_id = subject_of([task]), task.account_id
        if account_id is None:
            return None
        return AuditEntry(account_id, at, self.verb, word, subject, self.origin, self.detail)


def subject_of(tasks: Sequence[Task]) -> Subject:
    """Tasks of an account as the audit names them."""
    if len(tasks) == 1:
        (task,) = tasks
        seq = seq_of(task.id)
        return Subject(task.id, task.module, task.function, 1, ((seq, seq),))
    modules, functions = {task.module for task in tasks}, {task.function for task in tasks}
    return Subject(
        task_id=tasks[0].id,
        module=tasks[0].module if len(modules) == 1 else None,
        function=tasks[0].function if len(functions) == 1 else None,
        size=len(tasks),
        seqs=runs_of(seq_of(task.id) for task in tasks),
    )
