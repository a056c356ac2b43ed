"""What can happen to a task, as values: journalled, folded into memory and published, always the same one.

Pure; a replicated stream of them would rebuild the registry.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from kazoo_tasks.model.task import Task


class Kind(StrEnum):
    """The closed set of changes."""

    ADDED = "added"
    PUT_OFF = "put_off"
    STARTED = "started"
    ASSIGNED = "assigned"
    REQUEUED = "requeued"
    RETRYING = "retrying"
    RETRIED = "retried"
    STOP_ASKED = "stop_asked"
    PROGRESSED = "progress"
    CHECKPOINTED = "checkpoint"
    ENDED = "ended"
    REMOVED = "removed"


class Change(NamedTuple):
    """One change, carrying the task as it is after it (for a removal: as it was last)."""

    kind: Kind
    task: Task


#: About what an answer takes beside its reply, in memory and on disk.
_ANSWER_BYTES: Final = 400


class Remembered(NamedTuple):
    """An answered request, kept so that the same request again has no second effect.

    Attributes:
        owner: The request's `Account-ID`, or its `Server-ID` when it names no account.
        msg_id: The request's `Msg-ID`.
        digest: Hash of what was asked; tells a repetition from a reuse of the id.
        reply: JSON text of the reply's value, or a refusal; empty while the answer is still being worked on.
        at: Gregorian seconds of the answer.
    """

    owner: str
    msg_id: str
    digest: bytes
    reply: bytes
    at: int

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return size_of_answer(len(self.reply))


def size_of_answer(reply_bytes: int) -> int:
    """About how many bytes an answer takes whose reply has so many."""
    return reply_bytes + _ANSWER_BYTES
