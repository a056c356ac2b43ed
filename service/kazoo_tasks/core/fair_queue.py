"""Which of the waiting tasks is next: the accounts in turn, and within an account the more urgent, then the older one.

Pure; kept by the scheduler, which says when one may run. What a limit holds up is set aside, and looked at again when
what it waits for has room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple, Protocol

from kazoo_tasks.core.lane import Entry, Heads, Lane, Strand, let_through, turns
from kazoo_tasks.model.quota import Contender, Group, Obstacle

#: A step of priority is worth so much of having waited longer: so what is not urgent waits, and not for ever.
AGE_S: Final = 60.0


class Place(NamedTuple):
    """Where a task is in the queue.

    Attributes:
        behind: How many come before it, if nobody else starts anything and no limit comes between.
        of_account: How many of them are of its own account.
    """

    behind: int
    of_account: int


class Rules(Protocol):
    """What may run; see `core.concurrency`."""

    def obstacle(self, who: Contender) -> Obstacle | None:
        """Why one more of these may not run now."""
        ...

    def groups(self, who: Contender) -> Iterable[Group]:
        """Where one of these may have to wait."""
        ...


class FairQueue:
    """Weighted round robin over accounts: deficit round robin, where every task costs the same.

    What is held up waits under the one group that was found to hold it up. Each time that this may have room again,
    the first that waits there is looked at, and no more than that; if another group holds it up by then, it waits
    there, and the next one is looked at. So an end costs the same, whatever waits.
    """

    def __init__(self, weight_of: Callable[[str], int], monotonic: Callable[[], float], rules: Rules) -> None:
        """Nothing waits.

        Args:
            weight_of: How many tasks of an account go in one round; 1 is usual.
            monotonic: The clock that only goes on.
            rules: Say what may run.
        """
        self._weight_of = weight_of
        self._monotonic = monotonic
        self._rules = rules
        self._numbers = count()
        # Those before all others; not a plain dict, which skips all that was taken from its front before, each time.
        self._first: OrderedDict[str, Contender] = OrderedDict()
        self._entries: dict[str, tuple[Strand, Entry]] = {}
        self._lanes: dict[str, Lane] = {}
        # Those with something ready, in the order of their turns; only the first one is at it, if it is.
        self._round: OrderedDict[str, Lane] = OrderedDict()
        # Lanes with something aside under a group of several accounts, in the order in which they came to it.
        self._common: dict[Group, OrderedDict[str, Lane]] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._first) + len(self._entries)

    def __contains__(self, task_id: str) -> bool:
        """Whether a task waits."""
        return task_id in self._first or task_id in self._entries

    def __iter__(self) -> Iterator[str]:
        """All that wait, those first that are before all others, then in the order in which they came."""
        yield from self._first
        yield from self._entries

    @property
    def is_ready(self) -> bool:
        """Whether one waits that nothing is known to hold up."""
        return bool(self._round or self._first)

    def has_any_of(self, account_id: str) -> bool:
        """Whether tasks of an account wait for its turn."""
        return account_id in self._lanes

    def push(self, task_id: str, who: Contender, priority: int) -> None:
        """Let a task wait for its account's turn; one of a higher priority is as if it had waited longer."""
        lane = self._lanes.get(who.account_id)
        if lane is None:
            lane = self._lanes[who.account_id] = Lane(who.account_id, self._weight_of(who.account_id))
        strand = lane.strands.get(who)
        if strand is None:
            strand = lane.strands[who] = Strand(who, lane.ready)
        entry = Entry(self._monotonic() - priority * AGE_S, next(self._numbers), task_id)
        strand.push(entry)
        self._entries[task_id] = strand, entry
        if strand.home is lane.ready:
            self._enter(lane)

    def push_first(self, waiting: Mapping[str, Contender]) -> None:
        """Let tasks wait before all others, in this order."""
        for task_id, who in reversed(list(waiting.items())):
            self._first[task_id] = who
            self._first.move_to_end(task_id, last=False)

    def pop(self) -> tuple[str, Contender] | None:
        """Take out the next one that may run; none if nothing may."""
        for task_id, who in self._first.items():
            if self._rules.obstacle(who) is None:
                del self._first[task_id]
                return task_id, who
        while (lane := next(iter(self._round.values()), None)) is not None:
            strand = lane.ready.best()
            if strand is None:
                self._leave(lane)
            elif (obstacle := self._rules.obstacle(strand.who)) is not None:
                self._set_aside(lane, strand, obstacle.group)
            else:
                return self._take(lane, strand), strand.who
        return None

    def remove(self, task_id: str) -> bool:
        """Take a task out of the middle; whether it was there."""
        if self._first.pop(task_id, None):
            return True
        strand, entry = self._entries.pop(task_id, (None, None))
        if strand is None or entry is None:
            return False
        was_first = strand.first is entry
        strand.remove(entry)
        if strand.waiting:
            if was_first:
                strand.home.note(strand)
            return True
        lane = self._lanes[strand.who.account_id]
        was_ready = strand.home is lane.ready
        self._drop(lane, strand)
        if was_ready:
            # It may have been looked at again for room that another can use now.
            self._pass_on(strand.who)
        return True

    def look_again(self, group: Group) -> bool:
        """Let the first that waits under a group be looked at, if it is no longer this group that holds it up."""
        if group.is_whole_account:
            lane = self._lanes.get(group.account_id or "")
            if lane is None or lane.under != group:
                return False
            lane.under = None
            self._enter(lane)
            return True
        while (lane := self._first_under(group)) is not None:
            heads = lane.aside.get(group)
            strand = heads.best() if heads else None
            if strand is None:
                self._forget(lane, group)
            elif not self._wake(lane, strand, group):
                return False
            elif lane.under is None:
                return True
            # The whole account is held up, so another one may use the room.
        return False

    def look_at_all(self) -> None:
        """Look at all that waits, since limits are others now."""
        for lane in self._lanes.values():
            lane.under = None
            lane.aside.clear()
            for strand in lane.strands.values():
                if strand.home is not lane.ready:
                    lane.ready.put(strand)
            self._enter(lane)
        self._common.clear()

    def place_of(self, task_id: str) -> Place:
        """Where a task is that nothing holds up.

        Raises:
            KeyError: It does not wait.
        """
        if task_id in self._first:
            return Place(list(self._first).index(task_id), 0)
        own_strand, entry = self._entries[task_id]
        own = self._lanes[own_strand.who.account_id]
        older = sum(strand.before(entry) for strand in own.ready_strands())
        others, own_turns, has_turn = 0, turns(own, older + 1), True
        for lane in self._round.values():
            if lane is own:
                # Those behind it in the round have had one turn less by then.
                has_turn = False
                continue
            waiting = sum(strand.waiting for strand in lane.ready_strands())
            others += min(waiting, let_through(lane, own_turns if has_turn else own_turns - 1))
        return Place(len(self._first) + older + others, older)

    def _enter(self, lane: Lane) -> None:
        if lane.under is None and lane.account_id not in self._round:
            self._round[lane.account_id] = lane

    def _leave(self, lane: Lane) -> None:
        lane.credit = 0
        self._round.pop(lane.account_id, None)

    def _take(self, lane: Lane, strand: Strand) -> str:
        lane.credit = (lane.credit or lane.weight) - 1
        task_id = strand.pop().task_id
        del self._entries[task_id]
        if strand.waiting:
            lane.ready.note(strand)
        else:
            self._drop(lane, strand)
        if not lane.credit and lane.account_id in self._round:
            self._round.move_to_end(lane.account_id)
        return task_id

    def _drop(self, lane: Lane, strand: Strand) -> None:
        del lane.strands[strand.who]
        if not lane.strands:
            del self._lanes[lane.account_id]
            self._leave(lane)

    def _set_aside(self, lane: Lane, strand: Strand, group: Group) -> None:
        if group.is_whole_account:
            lane.under = group
            self._leave(lane)
            # Any of its strands may have been looked at again for room that others can use now.
            for common in list(self._common):
                self.look_again(common)
            return
        lane.aside.setdefault(group, Heads()).put(strand)
        if group.account_id is None:
            self._common.setdefault(group, OrderedDict())[lane.account_id] = lane
        self._pass_on(strand.who)

    def _pass_on(self, who: Contender) -> None:
        for group in self._rules.groups(who):
            self.look_again(group)

    def _first_under(self, group: Group) -> Lane | None:
        if group.account_id is not None:
            lane = self._lanes.get(group.account_id)
            return lane if lane and group in lane.aside else None
        return next(iter(self._common.get(group, {}).values()), None)

    def _wake(self, lane: Lane, strand: Strand, group: Group) -> bool:
        obstacle = self._rules.obstacle(strand.who)
        if obstacle is not None and obstacle.group == group:
            return False
        lane.ready.put(strand)
        self._enter(lane)
        if lane.aside[group].best() is None:
            self._forget(lane, group)
        elif group in self._common:
            self._common[group].move_to_end(lane.account_id)
        return True

    def _forget(self, lane: Lane, group: Group) -> None:
        lane.aside.pop(group, None)
        lanes = self._common.get(group, OrderedDict())
        if lanes.get(lane.account_id) is lane:
            del lanes[lane.account_id]
            if not lanes:
                del self._common[group]
