"""What the audit says: who asked for what, when, and what the answer was.

Pure; entries are journalled with the change that they tell of, and never changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kazoo_tasks.model.identity import are_added_together, seq_of

#: The answer to what was done; any other is the word of a refusal.
OK: Final = "ok"

#: Numbers from the first to the last of each run, ascending.
Runs = tuple[tuple[int, int], ...]


class Origin(NamedTuple):
    """Who asked, as far as it was said.

    Attributes:
        auth_account_id: The account of the token, which may be an admin's.
        request_id: What the client of the gateway knows its request by.
        node: That sent the message.
        client_ip: Where the gateway was asked from.
    """

    auth_account_id: str | None = None
    msg_id: str | None = None
    request_id: str | None = None
    node: str | None = None
    client_ip: str | None = None


class Subject(NamedTuple):
    """Which tasks it is about.

    Attributes:
        task_id: Of the one task, or of the first that were added together.
        module: Of all of them; absent if they differ.
        function: As `module`.
        size: How many there are.
        seqs: Where they stand, as their ids tell it; empty if there are none yet.
    """

    task_id: str | None = None
    module: str | None = None
    function: str | None = None
    size: int = 1
    seqs: Runs = ()


class AuditEntry(NamedTuple):
    """One deed.

    Attributes:
        at: Gregorian seconds.
        verb: The key of the request, or whatever else was done.
        answer: `OK`, or the word with which it was refused.
        detail: JSON text of an object: what only this verb has to say.
        number: Its place in the order of all; given by the journal.
    """

    account_id: str
    at: int
    verb: str
    answer: str
    subject: Subject
    origin: Origin
    detail: bytes | None = None
    number: int = 0

    def is_about(self, task_id: str) -> bool:
        """Whether a task is among those that it is about, as far as can be told from the entry alone."""
        subject, seq = self.subject, seq_of(task_id)
        if not any(first <= seq <= last for first, last in subject.seqs):
            return False
        if subject.task_id is None or subject.size == 1:
            return subject.task_id in (None, task_id)
        return are_added_together(subject.task_id, task_id)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries are wanted: an account's, or those about one of its tasks.

    Attributes:
        start: The highest `number` of the page; the newest if there is none.
    """

    account_id: str
    page_size: int
    task_id: str | None = None
    start: int | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of the audit, newest first.

    Attributes:
        next: Where the next page begins; `None` on the last one.
    """

    entries: list[AuditEntry] = field(default_factory=list)
    next: int | None = None


def named(entries: list[AuditEntry]) -> list[AuditEntry]:
    """All about one task, unless no entry says that there ever was a task of this id."""
    return entries if any(entry.subject.task_id for entry in entries) else []


def page_of(entries: list[AuditEntry], size: int) -> AuditPage:
    """The first of some entries, and where the others begin."""
    return AuditPage(entries[:size], entries[size].number if len(entries) > size else None)


def runs_of(numbers: Iterable[int]) -> Runs:
    """Numbers as runs without gaps.

    >>> runs_of([7, 5, 6, 9])
    ((5, 7), (9, 9))
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return tuple(runs)
