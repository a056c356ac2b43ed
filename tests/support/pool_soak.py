"""A soak: very many quick runs and some that misbehave, in rounds, with a look at what the pool takes after each.

Touches the pool under test and /proc; reads SOAK_TASKS, SOAK_SEED and SOAK_LIMIT_S; used by `make soak`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import statistics
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from kazoo_tasks.model.limits import NO_LIMITS
from kazoo_tasks.model.outcome import Failed, Outcome, Succeeded
from kazoo_tasks.model.task_log import LogPart
from kazoo_tasks.pool.settings import PoolSettings
from kazoo_tasks.pool.supervisor import ProcessPool
from kazoo_tasks.pool.usage import usage_of
from kazoo_tasks.ports import Assignment
from support.footprint import descriptors
from support.misbehaviour import CHEAP, MODULE, End, Misbehaviour

#: A hundred points for each line, which goes through the second half.
ROUNDS: Final = 200
#: What makes most runs short, so that many are among those that are sent ahead.
AHEAD: Final = 16
_MISBEHAVING: Final = 0.01
#: Most are stopped while they are at it, some before.
_STOP_WITHIN_S: Final = 0.02
_GRACE_S: Final = 0.05
_SHOWN: Final = 5
_DISTRUSTED: Final = "signal 9 (SIGKILL), by the pool: expected a frame"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it."""

    tasks: int = int(os.environ.get("SOAK_TASKS", "100000"))
    seed: int = int(os.environ.get("SOAK_SEED", "0")) or random.randrange(1, 10**6)
    limit_s: float = float(os.environ.get("SOAK_LIMIT_S", "1800"))


SCALE: Final = Scale()
#: Made once for each, as the core does it: the pool keeps what it has made of each object.
_LIMITS: Final = {row.name: replace(row.limits, grace_s=_GRACE_S) for row in CHEAP}
SETTINGS: Final = PoolSettings(size=4, modules=(MODULE,), max_restarts=10**9)


@dataclass(frozen=True, slots=True)
class Sample:
    """What is taken between two rounds, in MiB and descriptors."""

    tasks: int
    service_mib: float
    server_mib: float
    children_mib: float
    descriptors: int


class Soak:
    """The pool's watcher: gives it the runs of a round, judges each end, and keeps nothing of those that are right."""

    def __init__(self, folder: Path) -> None:
        self.pool = ProcessPool(SETTINGS)
        self._folder = folder
        self._chance = random.Random(SCALE.seed)
        self._numbers = count(1)
        self._queue: deque[Assignment] = deque()
        self._judges: dict[str, Callable[[Outcome], bool]] = {}
        self._to_stop: set[str] = set()
        self._whole = asyncio.Event()
        #: How many of each way to misbehave there were.
        self.misbehaved: Counter[str] = Counter()
        self.ended_runs = 0
        #: Those that a child did before it was killed for what another had written: nothing behind that is read.
        self.lost_behind_junk = 0
        #: The first of those that did not end as they must.
        self.wrong: list[tuple[str, Outcome]] = []

    async def play(self, tasks: int) -> None:
        """Have so many runs end, and the pool whole after that."""
        self._folder.mkdir(exist_ok=True)
        self._queue.extend(self._a_run() for _ in range(tasks))
        self._whole.clear()
        self._give()
        await self._whole.wait()
        # A daemon that a run has left is ended a moment after it, and may write until then.
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- what the pool tells ---

    def began(self, task_id: str) -> None:
        """Stop it in a moment, if it is to be stopped; one that is returned after all begins again."""
        if task_id in self._to_stop:
            delay_s = self._chance.uniform(0, _STOP_WITHIN_S)
            asyncio.get_running_loop().call_later(delay_s, self.pool.stop, task_id)

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """Judge it; one that was not expected, or that ends twice, is wrong."""
        self.ended_runs += 1
        self._to_stop.discard(task_id)
        is_right = self._judges.pop(task_id, _unexpected)
        if is_right(outcome):
            return
        if isinstance(outcome, Failed) and outcome.reason.startswith(_DISTRUSTED):
            self.lost_behind_junk += 1
        elif len(self.wrong) < _SHOWN:
            self.wrong.append((task_id, outcome))

    def returned(self, assignments: Sequence[Assignment]) -> None:
        """Give them again, before the others."""
        self._queue.extendleft(reversed(assignments))
        self._give()

    def idle(self) -> None:
        """Give more; when there is no more and all are idle, the round is over."""
        self._give()
        if not self._judges and self.pool.room() == self.pool.size:
            self._whole.set()

    def progressed(self, task_id: str, progress: bytes) -> None:
        """There is none."""

    def checkpointed(self, task_id: str, checkpoint: bytes) -> None:
        """There is none."""

    def said(self, task_id: str, part: LogPart) -> None:
        """What is printed is of no matter here."""

    def _give(self) -> None:
        for _ in range(self.pool.assign(self._queue, AHEAD)):
            self._queue.popleft()

    # --- what is to be run ---

    def _a_run(self) -> Assignment:
        number = next(self._numbers)
        if self._chance.random() < _MISBEHAVING:
            return self._misbehaving(number, self._chance.choice(CHEAP))
        run = self._run("double", str(number), (number,))
        self._judges[run.task_id] = partial(_is_double, number)
        return run

    def _misbehaving(self, number: int, row: Misbehaviour) -> Assignment:
        self.misbehaved[row.name] += 1
        run = self._run(row.function, str(number), row.arguments(str(self._folder / str(number)), soak=True))
        self._judges[run.task_id] = row.is_right_whenever
        if row.end is End.STOP:
            self._to_stop.add(run.task_id)
        return run._replace(limits=_LIMITS[row.name])

    def _run(self, function: str, task_id: str, arguments: tuple[object, ...]) -> Assignment:
        module = MODULE.rpartition(".")[2]
        return Assignment(task_id, module, function, json.dumps(arguments).encode(), limits=NO_LIMITS)


def _unexpected(_outcome: Outcome) -> bool:
    return False


def _is_double(number: int, outcome: Outcome) -> bool:
    return outcome == Succeeded(str(2 * number).encode())


def sample(pool: ProcessPool, server: int, tasks: int) -> Sample:
    """What a pool takes now."""
    children = [size for pid in pool.pids.values() if (size := usage_of(pid).memory_bytes)]
    return Sample(
        tasks,
        _mib(_own_bytes(os.getpid())),
        _mib(_own_bytes(server)),
        _mib(statistics.mean(children)),
        descriptors(os.getpid()),
    )


def _own_bytes(pid: int) -> int:
    """Resident memory without that of what is below it."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _mib(size: float) -> float:
    return size / 2**20


async def soaked(soak: Soak, server: int) -> list[Sample]:
    """Play all rounds; gives what the pool took after each."""
    samples = []
    async with asyncio.timeout(SCALE.limit_s):
        for number in range(1, ROUNDS + 1):
            await soak.play(SCALE.tasks // ROUNDS)
            samples.append(sample(soak.pool, server, number * (SCALE.tasks // ROUNDS)))
    return samples
