"""Restart intensity: at once, then slower, then not for a while."""

from __future__ import annotations

from kazoo_tasks.pool.intensity import Intensity, Restart


def test_deaths_within_the_limit_are_made_good_at_once() -> None:
    """A child that had been ready is replaced without delay."""
    intensity = Intensity(max_restarts=3, period_s=60)
    assert [intensity.died(now) for now in (0, 1, 2)] == [Restart(0.0)] * 3


def test_beyond_the_limit_the_slot_rests() -> None:
    """One death too many within the window."""
    intensity = Intensity(max_restarts=1, period_s=60)
    assert not intensity.died(0).rests
    assert intensity.died(59.9) == Restart(30.0, rests=True)


def test_the_window_slides() -> None:
    """Deaths older than the period are forgotten."""
    intensity = Intensity(max_restarts=1, period_s=60)
    intensity.died(0)
    assert intensity.died(60) == Restart(0.0)


def test_children_that_never_come_up_are_waited_for_longer_and_longer() -> None:
    """From 0.1 s doubling to 30 s."""
    intensity = Intensity(max_restarts=100, period_s=60)
    delays = [intensity.stillborn(0).delay_s for _ in range(11)]
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert delays[-2:] == [30.0, 30.0]


def test_a_child_that_comes_up_ends_the_back_off() -> None:
    """The next death is made good at once."""
    intensity = Intensity(max_restarts=100, period_s=60)
    intensity.stillborn(0)
    intensity.ready()
    assert intensity.died(1) == Restart(0.0)
