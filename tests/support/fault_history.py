"""What was asked and what came back, with the times: the only memory of the fault lab, and all that its checker sees.

Pure; written by the client, read by the checker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

#: The refusal that may be followed by another answer: nothing was decided, nothing was changed.
NOT_NOW: Final = "datastore_fault"
READS: Final = frozenset({"read_req", "list_req", "lookup_req"})

Body = dict[str, Any]


class Outcome(StrEnum):
    """What is known of a request; `UNKNOWN` is Jepsen's `:info`: it may have happened, or happen yet."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came.

    Attributes:
        at: When, in monotonic seconds.
        value: Its `Reply`.
        next_key: Where the next page of a list begins.
    """

    at: float
    value: Any
    next_key: str | None = None

    @property
    def text(self) -> str:
        """The same for the same answer."""
        return json.dumps(self.value, sort_keys=True)


@dataclass(slots=True)
class Request:
    """One request, however often it was sent; every reply to its `Msg-ID` is kept.

    Attributes:
        sent_at: When it was sent for the first time, in monotonic seconds.
        sends: How often it was handed to the broker, as far as we know.
        tags: What the tasks that it adds carry as their first argument.
    """

    msg_id: str
    event: str
    fields: Body
    sent_at: float
    sends: int = 0
    tags: list[str] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    @property
    def answer(self) -> Reply | None:
        """The first reply that decides, if one came."""
        return next((reply for reply in self.replies if reply.value != NOT_NOW), None)

    @property
    def outcome(self) -> Outcome:
        """What is known of it."""
        answer = self.answer
        if answer is None:
            return Outcome.UNKNOWN if len(self.replies) < self.sends else Outcome.REFUSED
        return Outcome.REFUSED if isinstance(answer.value, str) else Outcome.OK

    @property
    def may_have_happened(self) -> bool:
        """Whether its effect must or may be there."""
        return self.outcome is not Outcome.REFUSED

    @property
    def tasks(self) -> list[Body]:
        """The tasks that its answer shows."""
        value = self.answer.value if self.answer else None
        if isinstance(value, dict):
            return [value]
        return value if isinstance(value, list) else []

    @property
    def task_id(self) -> str | None:
        """Which task it is about."""
        wanted: str | None = self.fields.get("Task-ID")
        return wanted


@dataclass(slots=True)
class History:
    """All requests, in the order in which they were first sent."""

    requests: dict[str, Request] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Request]:
        """All of them."""
        return iter(self.requests.values())

    def __len__(self) -> int:
        """How many."""
        return len(self.requests)

    def of(self, event: str) -> Iterator[Request]:
        """Those of one kind."""
        return (request for request in self if request.event == event)

    def counts(self) -> dict[str, int]:
        """How many had which outcome."""
        outcomes = [request.outcome for request in self]
        return {outcome.value: outcomes.count(outcome) for outcome in Outcome}


@dataclass(slots=True)
class Evidence:
    """All that is known at the end.

    Attributes:
        final: Every task of the account, at rest, as the last start of the service lists them.
        stuck: Tasks that still waited or ran before that last start, long after everything else had ended.
        unanswered: Messages that got no answer from the start before that one, though it had all the time for it.
        runs: How many lines each tag has in the effect file.
        orphans: Processes of killed services that were still alive.
        service_kills: How often tasks may have been interrupted.
        children_killed: Children were killed, so tasks may say so.
        steady: Neither the broker nor our own connection was touched: then nothing sent may stay unanswered.
    """

    history: History
    final: list[Body]
    stuck: list[Body] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    service_kills: int = 0
    children_killed: bool = False
    steady: bool = False
