"""Attempts of tasks over any ends and kills: none is lost, none is made twice, and no more than the policy has."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_tasks import Retry, task
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.order import Draft
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.model.errors import Refused
from kazoo_tasks.model.outcome import Failed, Failure, Outcome, Succeeded
from kazoo_tasks.model.quota import Quota
from kazoo_tasks.model.task import Status
from kazoo_tasks.store.memory import MemoryJournal
from kazoo_tasks.wire.attempt import attempts_text
from support.build import a_module
from support.core import STOPPED, Office, turn

ENDS: dict[str, Outcome] = {
    "ok": Succeeded(),
    "error": Failed("0.1.1", Failure.ERROR, "ValueError()"),
    "timeout": Failed("0.1.1", Failure.TIMEOUT, "after 1 s"),
}
ATTEMPTS = {"again": 3, "once": 1, "named": 3}


@task(idempotent=True, retry=Retry(3, 4))
def again() -> None:
    """May be tried again after anything."""


@task
def once() -> None:
    """May not."""


@task(retry=Retry(3, 4, on=("timeout",)))
def named() -> None:
    """May after a time-out."""


CATALOGUE = Catalogue([a_module("tried", again=again, once=once, named=named)])
_which = st.integers(0, 5)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(list(ATTEMPTS))),
        *[st.tuples(st.just("end"), _which, st.sampled_from(["ok", "error", "error", "timeout", "timeout"]))]
        * 3,
        *[st.tuples(st.just("wait"), st.integers(0, 9))] * 2,
        st.tuples(st.just("fail"), st.sampled_from(["error", "timeout"])),
        # Killed after so many turns of the loop, so in the middle of what came before.
        st.tuples(st.just("kill"), st.integers(0, 12)),
        st.tuples(st.just("stop"), _which),
        st.tuples(st.just("retry"), _which),
    ),
    max_size=30,
)


class Service:
    """A service that can be killed, and what an observer of its children saw."""

    def __init__(self) -> None:
        """Not yet open."""
        self.journal = MemoryJournal()
        self.office: Office
        self.begun: Counter[tuple[str, int]] = Counter()
        self.by_hand: Counter[str] = Counter()
        self.interrupted: Counter[str] = Counter()
        self.watching: set[tuple[str, int]] = set()
        self.cut: set[tuple[str, int]] = set()

    async def open(self) -> None:
        """Start, as the service does."""
        former = self.office if hasattr(self, "office") else None
        self.office = office = Office(self.journal, slots=2, quota=Quota(max_running=2))
        if former is not None:
            office.clock.at, office._msg_ids = former.clock.at, former._msg_ids
        office.catalogue.become(CATALOGUE)
        await office.open()
        changes = list(settle(office.ledger.registry, office.catalogue, office.ledger.now()))
        if changes:
            await office.ledger.commit(changes)
        resume(office.ledger.registry, office.catalogue, office.scheduler)
        office.timers.load(office.ledger.registry)
        office.runner.idle()

    async def kill(self, turns: int) -> None:
        """End it in the middle of something: what is not written is lost."""
        for _ in range(turns):
            await asyncio.sleep(0)
            self.observe()
        for each in list(self.office.background._under_way):
            each.cancel()
        left = MemoryJournal()
        left._tasks, left._remembered = dict(self.journal._tasks), list(self.journal._remembered)
        left._next_seq, left._epoch = self.journal._next_seq, self.journal._epoch
        self.journal = left
        self.cut |= {
            (each.id, each.attempt) for each in left._tasks.values() if each.status is Status.RUNNING
        }
        for task_id, _ in self.watching:
            self.interrupted[task_id] += 1
        self.watching = set()
        await self.open()

    async def do(self, step: tuple[Any, ...]) -> None:
        """Do one thing."""
        office = self.office
        match step:
            case "add", str(function):
                await office.add(Draft("tried", function, []), start=True)
            case "end", int(which), str(how):
                if running := list(office.pool.running):
                    self.end(running[which % len(running)], ENDS[how])
                return  # and perhaps a kill comes next
            case "fail", str(how):
                for task_id in list(office.pool.running):
                    self.end(task_id, ENDS[how])
                await self.calm()
                office.clock.at += 9
                await self.fire()
            case "wait", int(seconds):
                office.clock.at += seconds
                await self.fire()
            case "kill", int(turns):
                await self.kill(turns)
            case verb, int(which):
                await self.ask(verb, which)
        await self.calm()

    async def ask(self, verb: str, which: int) -> None:
        """Stop a task, or try it again by hand."""
        ids = [each.id for each in self.office.ledger.registry]
        if not ids:
            return
        wanted = ids[which % len(ids)]
        if verb == "stop" and wanted in self.office.pool.running:
            stopping = asyncio.ensure_future(self.office.stop(wanted))
            await turn(lambda: self.office.pool.stopped)
            self.office.pool.stopped.clear()
            self.end(wanted, STOPPED)
            await stopping
            return
        try:
            await (self.office.stop(wanted) if verb == "stop" else self.office.retry(wanted))
            self.by_hand[wanted] += verb == "retry"
        except Refused:
            return

    def end(self, task_id: str, outcome: Outcome) -> None:
        """Let a run end."""
        self.watching.discard((task_id, self.office.pool.running[task_id].attempt))
        self.office.pool.end(task_id, outcome)

    async def fire(self) -> None:
        """Let the timers do what is due."""
        await self.office.timers.start_due()

    async def calm(self) -> None:
        """Wait until nothing is under way."""
        await self.office.settled()
        self.observe()

    def observe(self) -> None:
        """See which runs there are."""
        for run in self.office.pool.running.values():
            key = run.task_id, run.attempt
            if key not in self.watching:
                self.watching.add(key)
                self.begun[key] += 1

    async def come_to_an_end(self) -> None:
        """Let all that runs succeed, until nothing is left to be done."""
        await self.calm()
        for _ in range(50):
            if not any(each.is_active for each in self.office.ledger.registry):
                return
            for task_id in list(self.office.pool.running):
                self.end(task_id, Succeeded())
            self.office.clock.at += 10
            await self.fire()
            await self.calm()


@settings(max_examples=100, deadline=None)
@given(_steps)
def test_no_attempt_is_lost_or_made_twice(steps: list[tuple[Any, ...]]) -> None:
    """And each that is over is told, in order."""

    async def live() -> None:
        service = Service()
        await service.open()
        for function in ATTEMPTS:
            await service.do(("add", function))
        for step in steps:
            await service.do(step)
        await service.come_to_an_end()
        assert set(service.begun.values()) <= {1}, "an attempt was made twice"
        for each in service.office.ledger.registry:
            allowed = ATTEMPTS[each.function] + service.by_hand[each.id] + service.interrupted[each.id]
            assert each.attempt <= allowed
            if "interrupted" in (each.error or ""):
                assert (each.id, each.attempt) in service.cut, "it was not running"
            assert each.status in (Status.SUCCESS, Status.FAILURE)
            told = json.loads(attempts_text(each) or b"[]")
            numbers = [attempt["attempt"] for attempt in told]
            assert numbers == sorted(set(numbers))
            assert not told or numbers[-1] == each.attempt
            seen = {attempt for task_id, attempt in service.begun if task_id == each.id}
            assert seen <= set(range(1, each.attempt + 1))

    asyncio.run(live())
