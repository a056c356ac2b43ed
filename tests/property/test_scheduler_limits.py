"""Limits of what runs at once, whatever starts and ends: never passed, and no reason to wait once there is room."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kazoo_tasks.core.breaker import BreakerPolicy, Breakers
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.outcome import Failed, Failure, Outcome, Succeeded
from kazoo_tasks.model.quota import Quota
from kazoo_tasks.model.reason import Reason
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Assignment
from support.build import NOW, a_task
from support.core import STOPPED, HandPool, a_scheduler, limited_catalogue

SLOTS = 5
ACCOUNTS = ("a" * 32, "b" * 32, "c" * 32)
QUOTA = Quota(max_running=2, starts_per_s=5)
KILLED = Failed("0.1.1", Failure.KILLED, "killed")
#: By function: at once, for an account, for a key.
LIMITS = {"free": (None, None, 1), "few": (2, None, 2), "single": (None, 1, 1)}
OTHER_LIMITS = {"free": (1, None, 1), "few": (None, 2, 1), "single": (3, None, 2)}


class Limits(RuleBasedStateMachine):
    """A scheduler beside a list of what runs, which is counted anew each time."""

    def __init__(self) -> None:
        """Nothing waits or runs."""
        super().__init__()
        self.now = 100.0
        self.limits = LIMITS
        self.catalogue = limited_catalogue(LIMITS)
        self.pool = HandPool(SLOTS)
        self.breakers = Breakers(BreakerPolicy(2, 5.0, 3.0), lambda: self.now, lambda *_: None)
        read_ahead = ReadAhead(lambda: self.now)
        self.scheduler = a_scheduler(self.pool, read_ahead, self.catalogue, QUOTA, self.breakers)
        self.numbers = count(1)
        self.running: dict[str, Task] = {}
        self.waiting: dict[str, Task] = {}
        self.starts: dict[str, list[float]] = {}

    @rule(
        account=st.sampled_from(ACCOUNTS),
        function=st.sampled_from(list(LIMITS)),
        key=st.sampled_from([None, None, "k", "l"]),
        priority=st.sampled_from([None, 9]),
        many=st.integers(1, 4),
    )
    def start(self, account: str, function: str, key: str | None, priority: int | None, many: int) -> None:
        """Start tasks together, as the runner does."""
        what = {"account_id": account, "function": function, "concurrency_key": key, "priority": priority}
        started = [self.a_task(**what) for _ in range(many)]
        claimed = self.scheduler.claim(started)
        for each in started:
            if each.id in claimed:
                self.begin(each)
                self.place(each)
            else:
                self.wait(each)
        self.go_on()

    @rule(account=st.sampled_from(ACCOUNTS))
    def fail_to_write(self, account: str) -> None:
        """Claim a place that is given back."""
        for task_id in self.scheduler.claim([self.a_task(account_id=account, function="few")]):
            self.starts.setdefault(account, []).append(self.now)
            self.scheduler.release(task_id)
        self.go_on()

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, SLOTS - 1), how=st.sampled_from(["over", "over", "died", "stopped", "lost"]))
    def end(self, which: int, how: str) -> None:
        """Let a run end, or have what was assigned wait again, before all others."""
        # A run takes long enough that none is claimed ahead.
        self.now += 0.05
        task_id = list(self.running)[which % len(self.running)]
        match how:
            case "over":
                self.over(task_id, Succeeded())
            case "died":
                self.over(task_id, KILLED)
            case "stopped":
                self.over(task_id, STOPPED)
            case _:
                del self.pool.running[task_id]
                self.scheduler.began(task_id)
                taken = self.waiting[task_id] = self.running.pop(task_id)
                self.scheduler.changed(Change(Kind.REQUEUED, taken))
                self.scheduler.enqueue_first([taken])
        self.go_on()

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 20))
    def stop(self, which: int) -> None:
        """Stop one that waits."""
        task_id = list(self.waiting)[which % len(self.waiting)]
        assert self.scheduler.withdraw(task_id)
        del self.waiting[task_id]
        self.go_on()

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.1, 4.0]))
    def pass_time(self, seconds: float) -> None:
        """Let the clock go on."""
        self.now += seconds
        self.go_on()

    @rule()
    def reload(self) -> None:
        """Have other limits; what runs goes on."""
        self.limits = OTHER_LIMITS if self.limits is LIMITS else LIMITS
        self.catalogue.become(limited_catalogue(self.limits))
        self.scheduler.limits_changed()
        self.go_on()

    @rule(function=st.sampled_from(list(LIMITS)), is_open=st.booleans())
    def operate(self, function: str, *, is_open: bool) -> None:
        """Open or close a breaker by hand."""
        self.scheduler.switch_breaker(f"limited.{function}", is_open=is_open)
        self.go_on()

    @invariant()
    def no_rate_is_passed(self) -> None:
        """In no second more than some."""
        for starts in self.starts.values():
            for first, last in zip(starts, starts[QUOTA.starts_per_s :], strict=False):
                assert last - first > 1

    @invariant()
    def what_waits_is_kept_by_what_it_says(self) -> None:
        """As told by whoever decides, against a count of the runs."""
        is_full = len(self.running) >= SLOTS
        for waits in self.waiting.values():
            reason = self.scheduler.why(waits).reason
            if reason in (Reason.BEHIND, Reason.POOL_FULL):
                assert is_full
                assert not any(self.is_at_limit(waits, reason) for reason in Reason)
            else:
                assert self.is_at_limit(waits, reason), reason

    def a_task(self, **what: Any) -> Task:
        """One that is being started."""
        number = next(self.numbers)
        return a_task(number, id=f"{number:030}", module="limited", started_at=NOW, **what)

    def wait(self, waits: Task) -> None:
        """Let one wait."""
        self.waiting[waits.id] = waits
        self.scheduler.enqueue(waits)

    def go_on(self) -> None:
        """Run what may run."""
        while chosen := self.scheduler.next():
            for task_id in chosen:
                self.begin(self.waiting.pop(task_id))
            for task_id in chosen:
                self.place(self.running[task_id])

    def begin(self, begun: Task) -> None:
        """Count a run, which must not pass a limit."""
        for reason in Reason:
            assert not self.is_at_limit(begun, reason), reason
        self.running[begun.id] = begun
        self.starts.setdefault(begun.account_id, []).append(self.now)

    def place(self, begun: Task) -> None:
        """Give it to the pool."""
        self.scheduler.place([Assignment(begun.id, begun.module, begun.function, b"[]")])
        assert begun.id in self.pool.running

    def over(self, task_id: str, outcome: Outcome) -> None:
        """End a run, and write that down."""
        del self.pool.running[task_id]
        self.scheduler.ended(task_id, outcome)
        self.scheduler.changed(Change(Kind.ENDED, self.running.pop(task_id)))

    def is_at_limit(self, wanted: Task, reason: Reason) -> bool:
        """Whether one more would be too many, counted from what runs."""
        most, per_account, per_key = self.limits[wanted.function]
        runs = self.running.values()
        same = [run for run in runs if run.function == wanted.function]
        counts = Counter(run.account_id for run in same)
        match reason:
            case Reason.ACCOUNT_LIMIT:
                own = sum(1 for run in runs if run.account_id == wanted.account_id)
                return own >= (QUOTA.max_running or 0)
            case Reason.FUNCTION_LIMIT:
                is_full = most is not None and len(same) >= most
                return is_full or (per_account is not None and counts[wanted.account_id] >= per_account)
            case Reason.KEY_LIMIT:
                key = wanted.account_id, wanted.concurrency_key
                alike = sum(1 for run in runs if (run.account_id, run.concurrency_key) == key)
                return wanted.concurrency_key is not None and alike >= per_key
            case Reason.RATE_UNTIL:
                recent = [at for at in self.starts.get(wanted.account_id, []) if at >= self.now - 1]
                return len(recent) >= (QUOTA.starts_per_s or 0)
            case Reason.BREAKER_UNTIL:
                state = self.breakers.not_closed.get(f"limited.{wanted.function}")
                return state is not None and (state.until > self.now or state.probe in self.running)
            case _:
                return False


TestLimits = Limits.TestCase
TestLimits.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
