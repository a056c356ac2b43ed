"""Each fault, done to the real program under load: what it acknowledged is true, once and for ever.

Touches nothing itself: the stories are played by conftest's theatre, and judged here.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from support.disk import may_mount
from support.fault_checker import Kind, function_of
from support.fault_scale import SCALE
from support.fault_story import Story

#: What the issue promises.
BROKER_RETURN_S = 5.0
FAULT_RETURN_S = 10.0
#: What a reader of the history sees besides, when something was lost or done twice.
CONSEQUENCES = frozenset(
    {Kind.LOST, Kind.TWICE, Kind.CHANGED, Kind.UNDONE, Kind.UNASKED, Kind.WRONG, Kind.STUCK}
)

Told = Callable[[str], Story]


@pytest.fixture
def told(theatre: Any) -> Told:
    """Plays a story, or tells what it was when it was played before."""
    story: Told = theatre.story
    return story


def test_a_service_that_is_killed_keeps_its_word(told: Told) -> None:
    """Killed at random moments under load: nothing lost, done twice, stuck or left over, and all is answered."""
    story = told("service_killed")
    assert story.violations == []
    assert story.facts["kills"] > SCALE.service_kills
    assert len(story.evidence.history) > 10 * SCALE.service_kills


def test_a_deploy_costs_nothing(told: Told) -> None:
    """Stopped by SIGTERM under load and started anew: nothing is interrupted or run twice, all is answered."""
    story = told("service_deployed")
    errors = [task["error"] for task in story.evidence.final if "error" in task]
    assert story.violations == []
    assert story.facts["exit_codes"] == [0]
    assert not [error for error in errors if "interrupted" in error]
    functions = {
        tag: function_of(request, tag)
        for request in story.evidence.history.of("add_req")
        for tag in request.tags
    }
    once = {tag: runs for tag, runs in story.evidence.runs.items() if functions[tag] != "retried"}
    assert set(once.values()) == {1}
    assert max(story.back_s) < FAULT_RETURN_S


def test_a_broker_that_is_killed_costs_nothing(told: Told) -> None:
    """The same; a request is answered within 5 s of the broker's return, every time."""
    story = told("broker_killed")
    assert story.violations == []
    assert len(story.back_s) == SCALE.broker_kills
    assert max(story.back_s) < BROKER_RETURN_S


@pytest.mark.parametrize("name", ["broker_frozen", "hole_from_us", "hole_to_us"])
def test_silence_costs_nothing(told: Told, name: str) -> None:
    """A frozen broker, or a network that swallows one direction: back within 10 s of its end."""
    story = told(name)
    assert story.violations == []
    assert max(story.back_s) < FAULT_RETURN_S
    assert story.facts.get("answers_in_it", 0) == 0


def test_a_broker_that_blocks_costs_nothing(told: Told) -> None:
    """For want of memory: health says so, the connection stays, the watchdog waits; back within 10 s of its end."""
    story = told("broker_blocked")
    blocked = (HTTPStatus.SERVICE_UNAVAILABLE, {"bus": "the broker blocks publishers: low on memory"})
    assert story.violations == []
    assert story.facts["unwell"] == story.facts["unwell_still"] == blocked
    assert story.facts["said"] == {"bus.connected": 1, "bus.blocked": 1, "bus.unblocked": 1}
    assert max(story.back_s) < FAULT_RETURN_S


@pytest.mark.parametrize("name", ["cut_before_ack", "cut_mid_frame"])
def test_cuts_cost_nothing(told: Told, name: str) -> None:
    """Between commit and ack, or in the middle of a frame: back within 10 s, and every message is answered."""
    story = told(name)
    assert story.violations == []
    assert len(story.back_s) == SCALE.cuts
    assert max(story.back_s) < FAULT_RETURN_S


def test_every_message_may_come_twice(told: Told) -> None:
    """One effect, and equal replies."""
    story = told("everything_twice")
    changes = [request for request in story.evidence.history if len(request.replies) > 1]
    assert story.violations == []
    assert len(changes) > 10 * SCALE.twice_s


def test_children_may_be_killed(told: Told) -> None:
    """Each task whose child was killed says so, with the signal; the others succeed; the pool is whole afterwards."""
    story = told("children_killed")
    failed = [task["error"] for task in story.evidence.final if not task["is_success"]]
    pids = [int(pid) for error in failed for pid in re.findall(r"<0\.(\d+)\.", error)]
    signals: dict[int, signal.Signals] = story.facts["killed"]
    reasons = [re.sub(r"^\(<[\d.]+>\) ", "", error) for error in failed]
    assert story.violations == []
    assert len(story.evidence.final) == SCALE.child_tasks
    assert len(failed) > SCALE.child_tasks / 10
    assert reasons == [f"killed: signal {signals[pid]} ({signals[pid].name})" for pid in pids]
    assert story.facts["children"] == 2
    assert story.facts["health"] == (HTTPStatus.OK, {})


@pytest.mark.skipif(not may_mount(), reason="only root may mount a small file system")
def test_a_full_disk_is_told_and_survived(told: Told) -> None:
    """Changes are refused with `datastore_fault`, reads go on, health says so; alone again when there is room."""
    story = told("disk_full")
    status, unwell = story.facts["unwell_meanwhile"]
    assert story.violations == []
    assert story.facts["refusal"] == "datastore_fault"
    assert story.facts["read_meanwhile"] == "ok"
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "is full" in unwell["store"]
    assert max(story.back_s) < FAULT_RETURN_S


@pytest.mark.parametrize(
    ("variant", "kinds"),
    [
        ("ack_before_commit", {Kind.UNANSWERED}),
        ("reply_before_commit", {Kind.LOST}),
        ("no_dedupe", {Kind.TWICE, Kind.CHANGED}),
    ],
)
def test_a_broken_build_is_caught(told: Told, variant: str, kinds: set[Kind]) -> None:
    """A build that breaks one promise on purpose is convicted of just that; what follows from it may be told too."""
    found = {violation.kind for violation in told(variant).violations}
    consequences = set() if variant == "ack_before_commit" else CONSEQUENCES
    assert kinds <= found <= kinds | consequences


@pytest.mark.long
def test_a_long_run_takes_no_more_and_no_more(told: Told) -> None:
    """Mixed load, a reset every 10 s: memory, descriptors, threads and asyncio tasks do not grow."""
    story = told("soak")
    half = SCALE.soak_s / 2 / 3600
    slopes = story.facts["slopes_per_hour"]
    assert story.violations == []
    assert max(story.back_s) < FAULT_RETURN_S
    assert slopes["rss_mib"] * half < 5
    assert abs(slopes["descriptors"]) * half < 3
    assert abs(slopes["threads"]) * half < 1
    assert abs(slopes["asyncio_tasks"]) * half < 5
