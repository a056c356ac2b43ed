"""What a pool takes of the system besides processor time: processes, zombies, descriptors; the same before and after.

Reads /proc; used by the tests of the pool that misbehave in it.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from kazoo_tasks.pool.proc import children_of, stat
from kazoo_tasks.pool.supervisor import ProcessPool
from support.pool import descendants, until

_PR_SET_CHILD_SUBREAPER: Final = 36
#: SIGKILL takes effect soon, but not at once.
_DYING_S: Final = 5.0


class Footprint(NamedTuple):
    """At one moment.

    Attributes:
        others: Command lines of what is below us and is neither a slot's child nor a fork server.
        service: Descriptors of this process.
        server: Of the fork server.
        children: Of each child, a number that stands once.
    """

    slots: int
    servers: int
    others: tuple[str, ...]
    zombies: int
    service: int
    server: int
    children: frozenset[int]


class Household:
    """This process as the init of all that was started below it since, so that what loses its parent is found."""

    def __init__(self) -> None:
        self._strangers = set(children_of(os.getpid()))

    def processes(self) -> dict[int, str]:
        """All of it, with command lines."""
        ours = descendants(os.getpid())
        for stranger in self._strangers:
            for pid in (stranger, *descendants(stranger)):
                ours.pop(pid, None)
        return ours

    def servers(self) -> list[int]:
        """The fork servers among them."""
        return [pid for pid, command in self.processes().items() if "fork server" in command]

    def footprint(self, pool: ProcessPool) -> Footprint:
        """What a pool takes now, when there is no other."""
        self.reap_orphans()
        below = self.processes()
        slots = set(pool.pids.values()) & below.keys()
        servers = {pid for pid in below.keys() - slots if "fork server" in below[pid]}
        return Footprint(
            len(slots),
            len(servers),
            tuple(below[pid] for pid in below.keys() - slots - servers),
            sum(_state(pid) == "Z" for pid in below),
            descriptors(os.getpid()),
            max(map(descriptors, servers), default=0),
            frozenset(map(descriptors, slots)),
        )

    async def same_again(self, pool: ProcessPool, before: Footprint) -> None:
        """Wait until a pool takes what it took before, and tell the difference if it does not."""
        try:
            await until(lambda: self.footprint(pool) == before)
        except TimeoutError:
            assert self.footprint(pool) == before

    def reap_orphans(self) -> None:
        """Do what an init does; the fork server's parent has done so for it by the time that a pool is whole."""
        for pid in set(children_of(os.getpid())) - self._strangers:
            if _state(pid) == "Z":
                os.waitpid(pid, os.WNOHANG)


@contextmanager
def household() -> Iterator[Household]:
    """Be one; at the end nobody is left in it."""
    _be_subreaper(1)
    ours = Household()
    try:
        yield ours
        deadline = time.monotonic() + _DYING_S
        while (left := ours.processes()) and time.monotonic() < deadline:
            ours.reap_orphans()
        assert left == {}
    finally:
        _be_subreaper(0)


def descriptors(pid: int) -> int:
    """How many it has open; none if it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _be_subreaper(whether: int) -> None:
    assert ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, whether, 0, 0, 0) == 0


def _state(pid: int) -> str:
    return next(iter(stat(pid)), "")
