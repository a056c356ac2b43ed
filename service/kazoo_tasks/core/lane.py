"""The waiting tasks of one account: by what limits see in them, and the next one of all that may run.

Pure; kept by the fair queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from kazoo_tasks.model.quota import Contender, Group

#: Entries of tasks that were taken out stay in a heap until they are that many and the most of it.
_FEW: Final = 64


class Entry(NamedTuple):
    """A waiting task; the smaller one is next within its account."""

    rank: float
    number: int
    task_id: str


class Strand:
    """The waiting tasks of an account that are the same to every limit; there is always one.

    Attributes:
        heap: Entries; some may be of tasks that were taken out.
        gone: Which, by number.
        home: Where its first task is compared with those of others.
    """

    __slots__ = ("gone", "heap", "home", "who")

    def __init__(self, who: Contender, home: Heads) -> None:
        self.who = who
        self.home = home
        self.heap: list[Entry] = []
        self.gone: set[int] = set()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.heap) - len(self.gone)

    @property
    def first(self) -> Entry:
        """The next one."""
        while self.gone and self.heap[0].number in self.gone:
            self.gone.discard(heappop(self.heap).number)
        return self.heap[0]

    def push(self, entry: Entry) -> None:
        """Let one more wait."""
        heappush(self.heap, entry)
        if self.first is entry:
            self.home.note(self)

    def pop(self) -> Entry:
        """Take the next one out."""
        entry = self.first
        heappop(self.heap)
        return entry

    def remove(self, entry: Entry) -> None:
        """Take any one out."""
        self.gone.add(entry.number)
        if len(self.gone) > max(_FEW, self.waiting):
            self.heap = [each for each in self.heap if each.number not in self.gone]
            heapify(self.heap)
            self.gone.clear()

    def before(self, entry: Entry) -> int:
        """How many come before one."""
        return sum(1 for each in self.heap if each < entry and each.number not in self.gone)


class Heads:
    """Strands by their first tasks. Some of what is in the heap is out of date, and passed over."""

    __slots__ = ("heap",)

    def __init__(self) -> None:
        # The rank of its entry tells two strands apart, so they are never compared.
        self.heap: list[tuple[Entry, Strand]] = []

    def put(self, strand: Strand) -> None:
        """Make this the home of a strand."""
        strand.home = self
        self.note(strand)

    def note(self, strand: Strand) -> None:
        """Learn that the first task of a strand is another one."""
        heappush(self.heap, (strand.first, strand))

    def best(self) -> Strand | None:
        """The one whose first task is next."""
        while self.heap:
            entry, strand = self.heap[0]
            if strand.home is self and strand.waiting and strand.first is entry:
                return strand
            heappop(self.heap)
        return None


class Lane:
    """One account's waiting tasks, and its share.

    Attributes:
        strands: All that wait.
        ready: Those that nothing is known to hold up.
        aside: The others, by what holds them up.
        under: What holds up the whole account.
        credit: How many tasks are left of the turn that it is at; 0 if it is at none.
        weight: How many tasks a turn lets through.
    """

    __slots__ = ("account_id", "aside", "credit", "ready", "strands", "under", "weight")

    def __init__(self, account_id: str, weight: int) -> None:
        self.account_id = account_id
        self.strands: dict[Contender, Strand] = {}
        self.ready = Heads()
        self.aside: dict[Group, Heads] = {}
        self.under: Group | None = None
        self.credit = 0
        self.weight = weight

    def ready_strands(self) -> Iterator[Strand]:
        """Those that nothing is known to hold up."""
        return (strand for strand in self.strands.values() if strand.home is self.ready)


def turns(lane: Lane, tasks: int) -> int:
    """How many turns until so many tasks are through, the one that it is at included."""
    if not lane.credit:
        return -(-tasks // lane.weight)
    return 1 - min(0, (lane.credit - tasks) // lane.weight)


def let_through(lane: Lane, turns: int) -> int:
    """How many tasks go in so many turns, the one that it is at included."""
    return lane.weight * turns if not lane.credit else lane.credit + lane.weight * (turns - 1)
