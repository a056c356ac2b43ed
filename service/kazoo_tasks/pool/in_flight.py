"""What a child was given, in order: the run it has now and those that were sent ahead, with a ticket for each.

Touches one socket pair; used by pool.slot. The child takes a ticket before it begins a run (pool.channel), and what
is still there can be taken back here: the kernel gives each byte to one of the two, so there is never a doubt which
runs a child has begun, and none that it did not begin is lost with it.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from kazoo_tasks.model.limits import NO_LIMITS, Limits
from kazoo_tasks.pool.frame import BY_CHILD, RUN, SKIP, Request
from kazoo_tasks.ports import Assignment

#: More than can be there: a few for each run that was sent ahead.
_ALL = 4096
_TEXTS: Final[dict[int, tuple[Limits, bytes]]] = {}


class Tickets:
    """One byte for each frame that was sent to a child and not yet looked at by it."""

    def __init__(self) -> None:
        """Begin without any."""
        self._issuer, self.taker = socket.socketpair()

    def issue(self, marks: bytes) -> None:
        """Lay some out, behind those that are there; never waits, since they are few."""
        self._issuer.send(marks, socket.MSG_DONTWAIT)

    def recall(self) -> bytearray:
        """Take back all that the child has not taken."""
        try:
            return bytearray(self.taker.recv(_ALL, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return bytearray()

    def close(self) -> None:
        """Let go of them; a child that waits for one ends."""
        self._issuer.close()
        self.taker.close()


class InFlight:
    """The runs of one child; the first is what it is at."""

    def __init__(self, tickets: Tickets) -> None:
        """Begin empty."""
        self._tickets = tickets
        self._runs: deque[Assignment] = deque()
        #: The run that was over last.
        self.last: Assignment | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._runs)

    @property
    def first(self) -> Assignment | None:
        """What the child is at, or will be as soon as it has read it."""
        return self._runs[0] if self._runs else None

    def add(self, runs: Sequence[Assignment]) -> None:
        """Take more; to be called before they are sent, since a child waits for a ticket that is not there."""
        self._tickets.issue(RUN * len(runs))
        self._runs.extend(runs)

    def pop(self) -> Assignment:
        """Take out the first, which is over."""
        self.last = self._runs.popleft()
        return self.last

    @contextmanager
    def held(self) -> Iterator[str | None]:
        """The task whose run the child has begun last, if any; meanwhile it begins no other."""
        marks = self._tickets.recall()
        begun = len(self._runs) - marks.count(RUN)
        run = self._runs[begun - 1] if begun else self.last
        try:
            yield None if run is None else run.task_id
        finally:
            if marks:
                self._tickets.issue(bytes(marks))

    def known(self, task_id: str) -> str | None:
        """The id, if a run of it was given to this child and is not over, or was over last."""
        runs = self._runs if self.last is None else (*self._runs, self.last)
        return task_id if any(run.task_id == task_id for run in runs) else None

    def take_back(self, wanted: Collection[str] | None = None) -> list[Assignment]:
        """Take out what the child has not begun, of these task ids or of all; it will skip them."""
        marks = self._tickets.recall()
        taken = []
        place = len(self._runs)
        for at in reversed(range(len(marks))):
            if marks[at : at + 1] == SKIP:
                continue
            # The last runs are those whose tickets were still there.
            place -= 1
            if wanted is None or self._runs[place].task_id in wanted:
                marks[at : at + 1] = SKIP
                taken.append(self._runs[place])
                del self._runs[place]
        if marks:
            self._tickets.issue(bytes(marks))
        return taken[::-1]


def frame_of(run: Assignment) -> bytes:
    """What a child is sent to be given a run."""
    names = (run.task_id, run.account_id, run.module, run.function)
    return Request(
        *names, run.attempt, _kept_by_child(run.limits), run.checkpoint or b"", run.arguments
    ).encode()


def _kept_by_child(limits: Limits) -> bytes:
    """As the JSON text that a child reads; made once for each, which are few and shared by many runs."""
    if limits is NO_LIMITS:
        return b""
    known = _TEXTS.get(id(limits))
    if known is None:
        kept = {name: value for name in BY_CHILD if (value := getattr(limits, name)) is not None}
        # Kept with the text, so that no other gets its identity.
        known = _TEXTS[id(limits)] = limits, json.dumps(kept).encode() if kept else b""
    return known[1]
