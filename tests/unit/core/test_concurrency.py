"""Limits of what runs at once: who waits for what, and that room goes to whoever can use it."""

import pytest

from kazoo_tasks.core.breaker import BreakerPolicy, Breakers
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.core.scheduler import Scheduler
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.outcome import Failed, Failure, Outcome, Succeeded
from kazoo_tasks.model.quota import Quota
from kazoo_tasks.model.reason import Reason
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Assignment
from support.build import NOW, a_task
from support.core import STOPPED, HandPool, a_scheduler, limited_catalogue

KILLED = Failed("0.1.1", Failure.KILLED, "killed")


class Room:
    """Ten slots; an account may run two at once and begin three in a second, a breaker opens after two deaths."""

    def __init__(self) -> None:
        """Nothing runs."""
        self.now = 0.0
        self.pool = HandPool(10)
        self.told: list[tuple[str, bool]] = []
        self.breakers = Breakers(
            BreakerPolicy(2, 10.0, 5.0),
            lambda: self.now,
            lambda name, state: self.told.append((name, state is not None)),
        )
        catalogue = limited_catalogue({"free": (None, None, 1), "one": (1, None, 1), "own": (None, 1, 2)})
        self.scheduler: Scheduler = a_scheduler(
            self.pool, ReadAhead(lambda: self.now), catalogue, Quota(2, 3), self.breakers
        )
        self.tasks: dict[str, Task] = {}

    def start(self, task_id: str, account: str, function: str = "free", key: str | None = None) -> None:
        """Let a task wait, and run what may run."""
        self.tasks[task_id] = a_task(
            *(len(self.tasks) + 1,),
            id=task_id,
            account_id=account,
            module="limited",
            function=function,
            concurrency_key=key,
            started_at=NOW,
        )
        self.scheduler.enqueue(self.tasks[task_id])
        self.go_on()

    def end(self, task_id: str, outcome: Outcome | None = None) -> None:
        """Let a run end."""
        del self.pool.running[task_id]
        self.scheduler.ended(task_id, outcome or Succeeded())
        self.scheduler.changed(Change(Kind.ENDED, self.tasks[task_id]))
        self.go_on()

    def go_on(self) -> None:
        """Run what may run."""
        while chosen := self.scheduler.next():
            self.scheduler.place([Assignment(task_id, "limited", "free", b"[]") for task_id in chosen])

    def why(self, task_id: str) -> tuple[Reason, dict[str, object]]:
        """What keeps a task."""
        delay = self.scheduler.why(self.tasks[task_id])
        return delay.reason, dict(delay.details)

    @property
    def running(self) -> set[str]:
        """What runs."""
        return set(self.pool.running)


@pytest.fixture
def room() -> Room:
    """One with nothing in it."""
    return Room()


def test_an_account_runs_so_many_at_once(room: Room) -> None:
    """And others go on meanwhile."""
    for task_id in ("a1", "a2", "a3"):
        room.start(task_id, "a")
    room.start("b1", "b")
    assert room.running == {"a1", "a2", "b1"}
    assert room.why("a3") == (Reason.ACCOUNT_LIMIT, {"running": 2, "limit": 2})
    room.end("a1")
    assert room.running == {"a2", "a3", "b1"}


def test_a_function_runs_so_often_at_once(room: Room) -> None:
    """In all, or within an account; the accounts in turn."""
    for task_id, account in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        room.start(task_id, account, "one")
    assert room.running == {"a1"}
    assert room.why("b1") == (Reason.FUNCTION_LIMIT, {"running": 1, "limit": 1})
    room.end("a1")
    assert room.running == {"a2"}
    room.end("a2")
    assert room.running == {"b1"}
    for task_id in ("c1", "c2", "d1"):
        room.start(task_id, task_id[0], "own")
    assert room.why("c2") == (Reason.FUNCTION_LIMIT, {"running": 1, "limit": 1})
    assert room.running == {"b1", "c1", "d1"}


def test_a_key_is_for_one_at_a_time(room: Room) -> None:
    """Within its account, whatever the functions are; its function may allow more."""
    room.start("a1", "a", key="k")
    room.start("a2", "a", "one", key="k")
    room.start("b1", "b", key="k")
    assert room.running == {"a1", "b1"}
    assert room.why("a2") == (Reason.KEY_LIMIT, {"running": 1, "limit": 1})
    room.end("a1")
    assert room.running == {"a2", "b1"}


def test_a_second_has_so_many_starts(room: Room) -> None:
    """However short they are: told until when, and then the next one runs."""
    for number in range(4):
        room.start(f"a{number}", "a")
        if number < 3:
            room.end(f"a{number}")
    assert room.why("a3")[0] is Reason.RATE_UNTIL
    assert room.scheduler.next_look_s == pytest.approx(1.001)
    room.now = 1.0
    room.go_on()
    assert not room.running
    room.now = 1.0011
    room.go_on()
    assert room.running == {"a3"}


def test_room_goes_on_to_who_can_use_it(room: Room) -> None:
    """The one that waits longest for a key is held up by its function by now."""
    room.start("a1", "a", key="k")
    room.start("a2", "a", "one", key="k")
    room.start("a3", "a", key="k")
    assert room.why("a2")[0] is Reason.KEY_LIMIT
    room.start("b1", "b", "one")
    room.end("a1")
    assert room.running == {"b1", "a3"}
    assert room.why("a2")[0] is Reason.FUNCTION_LIMIT


def test_room_passes_an_account_that_is_full_by_now(room: Room) -> None:
    """It waited longest for the function, and has filled itself with others meanwhile."""
    room.start("c1", "c", "one")
    room.start("a1", "a", "one")
    room.start("b1", "b", "one")
    for task_id in ("a2", "a3", "a4"):
        room.start(task_id, "a")
    assert room.running == {"c1", "a2", "a3"}
    room.end("c1")
    assert room.running == {"b1", "a2", "a3"}


def test_a_function_whose_runs_die_is_left_alone_and_tried_again(room: Room) -> None:
    """Starts are accepted and held; one is tried after a pause, and its end decides."""
    for task_id in ("a1", "b1"):
        room.start(task_id, task_id[0])
        room.end(task_id, KILLED)
    assert room.told == [("limited.free", True)]
    room.start("c1", "c")
    room.start("d1", "d")
    room.start("d2", "d", "own")
    assert room.running == {"d2"}
    assert room.why("c1") == (Reason.BREAKER_UNTIL, {})
    assert room.scheduler.next_look_s == 5.0
    room.now = 5.0
    room.go_on()
    assert room.running == {"c1", "d2"}
    room.end("c1", KILLED)
    room.go_on()
    assert (room.running, room.scheduler.next_look_s) == ({"d2"}, 5.0)
    room.now = 10.0
    room.go_on()
    room.start("e1", "e")
    assert room.running == {"d1", "d2"}
    room.end("d1")
    assert room.running == {"e1", "d2"}
    assert room.told == [("limited.free", True), ("limited.free", True), ("limited.free", False)]


def test_a_probe_that_is_stopped_says_nothing(room: Room) -> None:
    """Another one is tried."""
    room.breakers.open("limited.free")
    room.breakers.not_closed["limited.free"] = room.breakers.not_closed["limited.free"]._replace(until=0.0)
    room.start("a1", "a")
    room.start("b1", "b")
    assert room.running == {"a1"}
    room.end("a1", STOPPED)
    assert room.running == {"b1"}


def test_deaths_that_are_far_apart_open_nothing(room: Room) -> None:
    """Nor do ends that the function means, such as an error."""
    for number, outcome in enumerate((KILLED, Failed("0.1.1", Failure.ERROR, "no"), KILLED)):
        room.start(f"a{number}", "a")
        room.end(f"a{number}", outcome)
        room.now += 6
    assert not room.told


def test_an_operator_opens_and_closes(room: Room) -> None:
    """And no time ends that."""
    room.scheduler.switch_breaker("limited.free", is_open=True)
    assert list(room.scheduler.breakers()) == [("limited.free", "open", None)]
    room.start("a1", "a")
    room.now = 1e9
    room.go_on()
    assert not room.running
    room.scheduler.switch_breaker("limited.free", is_open=False)
    room.go_on()
    assert room.running == {"a1"}
    assert room.told == [("limited.free", True), ("limited.free", False)]
