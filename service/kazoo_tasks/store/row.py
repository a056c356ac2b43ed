"""Tasks and answers as rows of the journal, and back.

Touches an open connection; used by the file, which knows when.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final

from kazoo_tasks.model.change import Remembered
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.model.task import Retrying, Task
from kazoo_tasks.store.statement import SQL, for_rows

_ROWS_AT_ONCE: Final = 64
_READ_AT_ONCE: Final = 2000
_WORDS: Final = 50_000
#: Results up to this length are likely to come again: `"ok"`, `true`, a count.
_SHORT: Final = 8

Progress = Callable[[int], None]


def put_tasks(connection: sqlite3.Connection, tasks: Sequence[Task]) -> None:
    """Write tasks, whether they are new or not."""
    write(connection, "put_tasks", [_task_row(task) for task in tasks])


def remove_tasks(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Remove tasks, if they are there."""
    write(connection, "remove_tasks", [(seq,) for seq in seqs])


def remember(connection: sqlite3.Connection, answers: Sequence[Remembered]) -> None:
    """Append answers."""
    rows = [(answer.owner, answer.msg_id, answer.digest, answer.reply, answer.at) for answer in answers]
    write(connection, "remember", rows)


def read_tasks(connection: sqlite3.Connection, progress: Progress) -> list[Task]:
    """Every task, ascending by `seq`."""
    tasks: list[Task] = []
    words: dict[Hashable, Any] = {}
    with _collector_off():
        for rows in _chunks(connection, "read_tasks"):
            tasks += _tasks(rows, words)
            progress(len(tasks))
            if len(words) > _WORDS:
                words.clear()
    return tasks


def read_remembered(connection: sqlite3.Connection) -> list[Remembered]:
    """Every answer, oldest first."""
    answers: list[Remembered] = []
    with _collector_off():
        for rows in _chunks(connection, "read_remembered"):
            answers += [Remembered(*row) for row in rows]
    return answers


def put_documents(connection: sqlite3.Connection, documents: Mapping[tuple[str, str], bytes | None]) -> None:
    """Write documents, whether they are new or not, and remove those without a text."""
    there = [(*key, text) for key, text in documents.items() if text is not None]
    write(connection, "put_documents", there)
    write(connection, "remove_documents", [key for key, text in documents.items() if text is None])


def read_documents(connection: sqlite3.Connection) -> list[Document]:
    """Every document."""
    return [Document(*row) for rows in _chunks(connection, "read_documents") for row in rows]


def write(connection: sqlite3.Connection, name: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Run a statement over rows, many at a time."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        connection.execute(for_rows(name, len(part[0]), len(part)), list(chain.from_iterable(part)))


_NEVER_RETRIED: Final = Retrying()


def _task_row(task: Task) -> tuple[object, ...]:
    return (
        task.seq,
        task.id,
        task.account_id,
        task.module,
        task.function,
        task.arguments,
        task.submitted_at,
        task.started_at,
        task.ended_at,
        task.attempt,
        task.epoch,
        int(task.stop_asked),  # sqlite3 looks for an adapter for every bool
        # Half of a surrogate pair in a stack trace must not cost the commits that share the transaction.
        task.error and task.error.encode("utf-8", "backslashreplace").decode(),
        task.result,
        task.progress,
        task.checkpoint,
        task.version,
        task.priority,
        task.start_at,
        task.concurrency_key,
        *(task.retrying or _NEVER_RETRIED),
        task.began_at,
        task.schedule_id,
    )


def _tasks(rows: Sequence[tuple[Any, ...]], words: dict[Hashable, Any]) -> list[Task]:
    """Tasks that share what is alike in many: a hundred bytes less for each."""
    word = words.setdefault
    return [
        Task(
            seq,
            id_,
            word(account_id, account_id),
            word(module, module),
            word(function, function),
            arguments,
            word(submitted_at, submitted_at),
            word(started_at, started_at),
            word(ended_at, ended_at),
            attempt,
            epoch,
            stop_asked == 1,
            error,
            word(result, result) if result and len(result) <= _SHORT else result,
            progress,
            checkpoint,
            word(version, version),
            priority,
            start_at,
            concurrency_key,
            Retrying(retry, retry_at, history) if retry or history else None,
            began_at,
            word(schedule_id, schedule_id),
        )
        for (
            seq,
            id_,
            account_id,
            module,
            function,
            arguments,
            submitted_at,
            started_at,
            ended_at,
            attempt,
            epoch,
            stop_asked,
            error,
            result,
            progress,
            checkpoint,
            version,
            priority,
            start_at,
            concurrency_key,
            retry,
            retry_at,
            history,
            began_at,
            schedule_id,
        ) in rows
    ]


def _chunks(connection: sqlite3.Connection, name: str) -> Iterator[list[tuple[Any, ...]]]:
    cursor = connection.execute(SQL[name])
    while rows := cursor.fetchmany(_READ_AT_ONCE):
        yield rows


@contextmanager
def _collector_off() -> Iterator[None]:
    """Nothing that is read here is garbage; looking for it again and again takes half as long again as reading."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
