"""The audit in the journal: appended with what it tells of, read a page at a time, and kept for a while.

Touches an open connection; used by the file, in the journal's thread.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kazoo_tasks.model.audit import (
    AuditEntry,
    AuditPage,
    AuditQuery,
    Origin,
    Runs,
    Subject,
    named,
    page_of,
)
from kazoo_tasks.model.identity import seq_of
from kazoo_tasks.store import row
from kazoo_tasks.store.statement import SQL

#: Commits wait while a page is read.
_MAX_PAGE: Final = 1_000
#: So many entries about several tasks are looked through for one of them, from the nearest on.
_MAX_LOOKED_AT: Final = 5_000
#: A few only go with a commit, and a few more than come, so that there is an end to it.
_DROP_AT_ONCE: Final = 100


class AuditTable:
    """What is kept of the audit; how many entries each account has is all that is in memory."""

    def __init__(self) -> None:
        """Know of none yet, and keep all."""
        self._counts: Counter[str] = Counter()
        self._dropped_before = 0
        # Set from the event loop's thread.
        self._kept = 0, sys.maxsize

    def open(self, connection: sqlite3.Connection) -> None:
        """Count what is there."""
        self._counts = Counter(dict(connection.execute(SQL["count_audit"]).fetchall()))

    def keep(self, since: int, number: int) -> None:
        """Keep entries from these Gregorian seconds on, and so many of an account."""
        self._kept = since, number

    def write(self, connection: sqlite3.Connection, entries: Sequence[AuditEntry]) -> Counter[str]:
        """Append entries, and drop some that are old or too many.

        Returns:
            How many more each account has, to be counted once it is durable.
        """
        growth = Counter(entry.account_id for entry in entries)
        row.write(connection, "put_audit", [_row(entry) for entry in entries])
        since, most = self._kept
        if since > self._dropped_before:
            self._drop_outdated(connection, since, growth)
        for account_id, more in list(growth.items()):
            excess = self._counts[account_id] + more - most
            if excess > 0:
                limit = min(excess, more + _DROP_AT_ONCE)
                connection.execute(SQL["drop_audit_of"], (account_id, limit))
                growth[account_id] -= limit
        return growth

    def count(self, growth: Counter[str]) -> None:
        """Take it that this became durable."""
        for account_id, more in growth.items():
            self._counts[account_id] += more
            if not self._counts[account_id]:
                del self._counts[account_id]

    def _drop_outdated(self, connection: sqlite3.Connection, since: int, growth: Counter[str]) -> None:
        oldest = connection.execute(SQL["oldest_audit"], (_DROP_AT_ONCE,)).fetchall()
        last = 0
        for number, account_id, at in oldest:
            # One from before a clock was set back waits for its turn.
            if at >= since:
                break
            last = number
            growth[account_id] -= 1
        connection.execute(SQL["drop_audit"], (last,))
        if len(oldest) < _DROP_AT_ONCE or last < oldest[-1][0]:
            self._dropped_before = since


def read(connection: sqlite3.Connection, query: AuditQuery) -> AuditPage:
    """A page of the audit."""
    size = min(query.page_size, _MAX_PAGE)
    start = sys.maxsize if query.start is None else min(query.start, sys.maxsize)
    if query.task_id is None:
        rows = connection.execute(SQL["audit_of_account"], (query.account_id, start, size + 1)).fetchall()
        return page_of([_entry(row) for row in rows], size)
    seq = seq_of(query.task_id)
    its_own = (seq, query.account_id, query.task_id, start, size + 1)
    several = (query.account_id, seq, _MAX_LOOKED_AT, seq, start)
    rows = connection.execute(SQL["audit_of_task"], its_own).fetchall()
    rows += connection.execute(SQL["audit_of_tasks"], several).fetchall()
    found = named([entry for entry in map(_entry, rows) if entry.is_about(query.task_id)])
    return page_of(sorted(found, key=lambda entry: entry.number, reverse=True), size)


def read_all(connection: sqlite3.Connection) -> Iterator[AuditEntry]:
    """Every entry, one after the other.

    Raises:
        ValueError: The runs of one are none of ours.
    """
    return map(_entry, connection.execute(SQL["read_audit"]))


def _entry(row: tuple[Any, ...]) -> AuditEntry:
    (
        number,
        account_id,
        at,
        verb,
        answer,
        task_id,
        module,
        function,
        count,
        first,
        last,
        runs,
        *origin,
        detail,
    ) = row
    seqs = _runs(runs) if runs is not None else () if first is None else ((first, last),)
    subject = Subject(task_id, module, function, count, seqs)
    return AuditEntry(account_id, at, verb, answer, subject, Origin(*origin), detail, number)


def _row(entry: AuditEntry) -> tuple[object, ...]:
    seqs = entry.subject.seqs
    return (
        entry.account_id,
        entry.at,
        entry.verb,
        entry.answer,
        entry.subject.task_id,
        entry.subject.module,
        entry.subject.function,
        entry.subject.size,
        seqs[0][0] if seqs else None,
        seqs[-1][1] if seqs else None,
        # Of one task that it names the two numbers say it all.
        None if not seqs or (entry.subject.size == 1 and entry.subject.task_id) else _runs_text(seqs),
        *entry.origin,
        entry.detail,
    )


def _runs_text(runs: Runs) -> str:
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def _runs(text: str) -> Runs:
    pairs = (part.partition("-") for part in text.split(","))
    return tuple((int(first), int(last or first)) for first, _, last in pairs)
