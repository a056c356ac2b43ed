"""Look through a whole file before it becomes the journal: whether it is what a release of ours wrote.

Touches SQLite, reading; used by restore on its own copy, so that nothing is replaced by what will not start.
"""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, Final

from kazoo_tasks.authoring import PRIORITIES
from kazoo_tasks.model.audit import AuditEntry
from kazoo_tasks.model.errors import CannotStart, Corrupt
from kazoo_tasks.model.identity import ACCOUNT_ID, TASK_ID
from kazoo_tasks.model.task import Task
from kazoo_tasks.store import database, row
from kazoo_tasks.store.audit import read_all
from kazoo_tasks.store.statement import SCHEMA, SQL
from kazoo_tasks.wire.attempt import retry_of
from kazoo_tasks.wire.codec import decode_stored

#: Beyond it a number is no count of anything here.
_MOST: Final = 2**53
_META: Final = {"clean": 1, "epoch": _MOST, "next_seq": _MOST}
_HEADER_BYTES: Final = 100
_PAGE_SIZE: Final = struct.Struct(">16xH")
_PAGE_COUNT: Final = struct.Struct(">28xI")
_LARGEST_PAGE: Final = 65_536
_SPACE: Final = re.compile(r"\s+")


def check_size(path: Path) -> None:
    """Allow a file that is as long as it says; a sparse one of many gigabytes is found without reading it.

    Raises:
        CannotStart: It is not.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    size = path.stat().st_size
    if len(header) < _HEADER_BYTES:
        raise CannotStart(f"{path} is damaged: it has {size} bytes")
    # 65,536 does not fit into its two bytes, and is written as 1.
    page_size = {1: _LARGEST_PAGE}.get(_PAGE_SIZE.unpack_from(header)[0], _PAGE_SIZE.unpack_from(header)[0])
    said = page_size * int(_PAGE_COUNT.unpack_from(header)[0])
    if said != size:
        raise CannotStart(f"{path} is damaged: expected {said} bytes, as it says, got {size}")


def inspect(path: Path) -> None:
    """Read everything that a start would read, and what it would rely on.

    Raises:
        CannotStart: Something is not as we write it; the message says what.
    """
    connection = database.connect_readonly(path)
    try:
        version = database.identify(connection, path)
        tables = _check_structure(connection, version)
        if version < SCHEMA:
            connection.execute(SQL[f"view_{version}"])
        _check_meta(connection)
        _check_tasks(row.read_tasks(connection, lambda _done: None))
        row.read_remembered(connection)
        if "table audit" in tables:
            _check_audit(read_all(connection))
    except (sqlite3.Error, ValueError, _NotOurs) as error:
        raise CannotStart(f"{path} is damaged: {error}") from error
    finally:
        connection.close()


class _NotOurs(Exception):
    """Something that no release of ours wrote."""


def _check_structure(connection: sqlite3.Connection, version: int) -> Container[str]:
    """What there is, which is what this version has."""
    model = sqlite3.connect(":memory:")
    try:
        database.upgrade(model, 0, to=version)
        expected, found = _structure(model), _structure(connection)
    finally:
        model.close()
    for name in sorted(expected.keys() ^ found.keys()):
        raise _NotOurs(f"expected {'no ' if name in found else ''}{name}")
    for name, text in expected.items():
        if found[name] != text:
            raise _NotOurs(f"expected {name} to be as this release makes it")
    return found


def _structure(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema")
    return {f"{kind} {name}": _SPACE.sub(" ", text) for kind, name, text in rows}


def _check_meta(connection: sqlite3.Connection) -> None:
    meta: dict[str, int] = dict(connection.execute(SQL["read_meta"]).fetchall())
    for name, most in _META.items():
        if not 0 <= meta.get(name, -1) <= most:
            raise _NotOurs(f"expected {name} to be from 0 to {most}, got {meta.get(name)}")


def _check_tasks(tasks: Iterable[Task]) -> None:
    for task in tasks:
        wrong = _wrong(task)
        if wrong is not None:
            raise _NotOurs(f"expected the task of seq {task.seq} to have {wrong}")


def _check_audit(entries: Iterable[AuditEntry]) -> None:
    for entry in entries:
        seqs = [seq for run in entry.subject.seqs for seq in run]
        numbers = [entry.number, entry.at, entry.subject.size, *seqs]
        if ACCOUNT_ID.fullmatch(entry.account_id) is None:
            raise _NotOurs(f"expected the audit's entry {entry.number} to have an account")
        if not all(0 <= number <= _MOST for number in numbers) or seqs != sorted(seqs):
            raise _NotOurs(f"expected the audit's entry {entry.number} to have times and counts")
        if entry.detail is not None and not isinstance(_value(entry.detail), dict):
            raise _NotOurs(f"expected the audit's entry {entry.number} to have a JSON object as detail")


def _wrong(task: Task) -> str | None:
    """What a task should have, if it has not."""
    return next((what for what, has in _HAS.items() if not has(task)), None)


def _numbers(task: Task) -> list[int]:
    times = (task.submitted_at, task.start_at, task.started_at, task.ended_at, task.attempt, task.epoch)
    return [number for number in times if number is not None]


_NO_JSON: Final = object()


def _value(text: bytes) -> Any:
    try:
        return decode_stored(text)
    except Corrupt:
        return _NO_JSON


def _is_policy(text: bytes | None) -> bool:
    try:
        return text is None or bool(retry_of(text))
    except (Corrupt, ValueError):
        return False


_HAS: Final[dict[str, Callable[[Task], bool]]] = {
    "a seq that was given out": lambda task: 0 < task.seq <= _MOST,
    "an id": lambda task: TASK_ID.fullmatch(task.id) is not None,
    "an account": lambda task: ACCOUNT_ID.fullmatch(task.account_id) is not None,
    "a module and a function": lambda task: bool(task.module and task.function),
    "a priority from 0 to 9, or none": lambda task: task.priority is None or task.priority in PRIORITIES,
    "times and counts": lambda task: all(0 <= number <= _MOST for number in _numbers(task)),
    "a JSON array as arguments": lambda task: isinstance(_value(task.arguments), list),
    "JSON as result": lambda task: task.result is None or _value(task.result) is not _NO_JSON,
    "JSON as checkpoint": lambda task: task.checkpoint is None or _value(task.checkpoint) is not _NO_JSON,
    "a policy of its retries that is one": lambda task: _is_policy(task.retrying and task.retrying.policy),
    "JSON as history": lambda task: (
        task.retrying is None or _value(b"[%b]" % (task.retrying.history or b"")) is not _NO_JSON
    ),
    "JSON as progress": lambda task: task.progress is None or _value(task.progress) is not _NO_JSON,
}
