"""The line of a child's runs: who has begun what, with a child's end of the tickets that hypothesis moves."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers, sets
from typing_extensions import override

from kazoo_tasks.pool.frame import RUN, SKIP
from kazoo_tasks.pool.in_flight import InFlight, Tickets
from kazoo_tasks.ports import Assignment


def a_run(number: int) -> Assignment:
    """One that a number tells from others."""
    return Assignment(str(number), "timer", "sleep", b"[]")


@pytest.fixture
def tickets() -> Iterator[Tickets]:
    """Give some to lay out."""
    made = Tickets()
    yield made
    made.close()


def test_what_was_begun_stays(tickets: Tickets) -> None:
    """The child was faster."""
    in_flight = InFlight(tickets)
    in_flight.add([a_run(1), a_run(2)])
    assert tickets.taker.recv(1) == RUN

    assert in_flight.take_back(["1", "2"]) == [a_run(2)]
    assert (in_flight.first, len(in_flight)) == (a_run(1), 1)
    assert tickets.taker.recv(1) == SKIP


def test_a_child_that_waits_for_a_ticket_ends_with_the_line(tickets: Tickets) -> None:
    """The other end says that there is none to come."""
    taker = tickets.taker.dup()
    tickets.close()

    assert taker.recv(1) == b""
    taker.close()


class LineAndChild(RuleBasedStateMachine):
    """A child that reads frames and tickets in order, and a line that must never be wrong about it."""

    def __init__(self) -> None:
        """Begin with a child that has nothing to do."""
        super().__init__()
        self.tickets = Tickets()
        self.in_flight = InFlight(self.tickets)
        self.sent: list[str] = []
        self.at: str | None = None
        self.known: list[str] = []
        self.number = 0

    @rule(count=integers(1, 4))
    def send(self, count: int) -> None:
        """InFlight up more."""
        runs = [a_run(self.number + place) for place in range(count)]
        self.number += count
        self.in_flight.add(runs)
        self.sent += [run.task_id for run in runs]
        self.known += [run.task_id for run in runs]

    @precondition(lambda self: self.sent and self.at is None)
    @rule()
    def child_goes_on(self) -> None:
        """The child reads its next frame, and the ticket for it."""
        frame = self.sent.pop(0)
        if self.tickets.taker.recv(1, socket.MSG_DONTWAIT) == RUN:
            self.at = frame

    @precondition(lambda self: self.at is not None)
    @rule()
    def child_answers(self) -> None:
        """The answer is heard at once."""
        assert self.in_flight.pop().task_id == self.at
        self.known.remove(str(self.at))
        self.at = None

    @rule(numbers=sets(integers(0, 30)))
    def take_back(self, numbers: set[int]) -> None:
        """Take back some of all runs there ever were."""
        wanted = {str(number) for number in numbers}
        taken = [run.task_id for run in self.in_flight.take_back(wanted)]
        assert taken == [each for each in self.known if each in wanted and each != self.at]
        self.known = [each for each in self.known if each not in taken]

    @invariant()
    def first_is_what_comes(self) -> None:
        """What the child is at stands first, and nothing is lost."""
        assert len(self.in_flight) == len(self.known)
        assert self.in_flight.first == (a_run(int(self.known[0])) if self.known else None)
        assert self.at is None or self.known[0] == self.at

    @override
    def teardown(self) -> None:
        """Whatever was not begun can still be taken back, all of it."""
        assert [run.task_id for run in self.in_flight.take_back()] == [
            each for each in self.known if each != self.at
        ]
        self.tickets.close()


TestLineAndChild = LineAndChild.TestCase
