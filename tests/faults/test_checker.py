"""The judge is judged: each kind of forged evidence is found out, and honest evidence is not complained about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.build import ACCOUNT, NOW
from support.fault_checker import Kind, check
from support.fault_history import Body, Evidence, History, Reply, Request

ENDED: Body = {"started_at": NOW, "ended_at": NOW, "is_terminated": True}


def a_task(number: int = 1, **more: Any) -> Body:
    """A pending task as an answer shows it."""
    return {
        "id": f"{number:030x}",
        "account_id": ACCOUNT,
        "module": "fault_tasks",
        "function": "effect",
        "arguments": [f"msg{number}/0", "effects", 1],
        "submitted_at": NOW,
        **more,
    }


def a_success(number: int = 1) -> Body:
    """The same task, ended well."""
    return a_task(number, **ENDED, is_success=True, result=f"msg{number}/0")


class Forger:
    """Honest evidence to begin with: one task added and started, one only added, one removed; all is well."""

    def __init__(self) -> None:
        self.history = History()
        self.at = 0.0
        for number in (1, 2, 3):
            fields = {"Function": "effect", "Arguments": a_task(number)["arguments"]}
            self.asked(f"msg{number}", "add_req", a_task(number), tags=[f"msg{number}/0"], **fields)
        self.start = self.asked("start1", "start_req", self.running(), **{"Task-ID": a_task()["id"]})
        self.remove = self.asked("remove3", "remove_req", a_task(3), **{"Task-ID": a_task(3)["id"]})
        self.read = self.asked("read1", "read_req", a_success(), **{"Task-ID": a_task()["id"]})
        self.evidence = Evidence(self.history, [a_success(), a_task(2)], runs={"msg1/0": 1}, steady=True)

    def running(self) -> Body:
        """The first task as its start's answer shows it."""
        return a_task(started_at=NOW, is_terminated=False)

    def asked(
        self, msg_id: str, event: str, *values: Any, tags: list[str] | None = None, **fields: Any
    ) -> Request:
        """A request that was sent once and answered so often."""
        self.at += 2
        replies = [Reply(self.at + 1, value) for value in values]
        request = Request(msg_id, event, fields, self.at, 1, tags or [], replies)
        self.history.requests[msg_id] = request
        return request


def lose_a_task(forger: Forger) -> None:
    """An acknowledged task is not there."""
    forger.evidence.final.pop()


def lose_a_start(forger: Forger) -> None:
    """A task whose start was acknowledged is pending."""
    forger.evidence.final[0] = a_task()
    forger.history.requests.pop("read1")
    forger.evidence.runs.clear()


def lose_an_effect(forger: Forger) -> None:
    """A task succeeded, and what it did is not there."""
    forger.evidence.runs.clear()


def double_a_task(forger: Forger) -> None:
    """One request made two tasks."""
    forger.evidence.final.append({**a_task(2), "id": f"{9:030x}"})


def run_twice(forger: Forger) -> None:
    """What must not be run twice was."""
    forger.evidence.runs["msg1/0"] = 2


def tell_that_it_was_started(forger: Forger) -> None:
    """A start is refused because of itself."""
    forger.start.replies[0] = Reply(forger.start.replies[0].at, "already_started")


def change_a_reply(forger: Forger) -> None:
    """The same id is answered differently."""
    forger.start.replies.append(Reply(99.0, a_success()))


def leave_it_running(forger: Forger) -> None:
    """A task never ends."""
    forger.evidence.final[0] = forger.running()
    forger.history.requests.pop("read1")


def resurrect(forger: Forger) -> None:
    """A removed task is there again."""
    forger.evidence.final.append(a_task(3))


def change_an_end(forger: Forger) -> None:
    """A task that had succeeded has failed."""
    error = "(<0.0.0>) interrupted: x"
    forger.evidence.final[0] = a_task(**ENDED, is_success=False, error=error)
    forger.evidence.service_kills = 1


def start_it_unasked(forger: Forger) -> None:
    """A task that nobody started has run."""
    forger.evidence.final[1] = a_success(2)
    forger.evidence.runs["msg2/0"] = 1


def add_it_though_refused(forger: Forger) -> None:
    """A refused task is there."""
    refused = forger.history.requests["msg2"]
    refused.replies[0] = Reply(refused.replies[0].at, "datastore_fault")


def leave_it_unanswered(forger: Forger) -> None:
    """A message was taken off the queue, and nothing came."""
    forger.read.replies.clear()


def answer_only_after_a_kill(forger: Forger) -> None:
    """A message lay with the service until it was killed."""
    forger.evidence.unanswered.append("read_req read1")


def fail_for_no_reason(forger: Forger) -> None:
    """A task was interrupted though the service was never killed."""
    error = "(<0.0.0>) interrupted: x"
    forger.evidence.final[0] = a_task(**ENDED, is_success=False, error=error)
    forger.history.requests.pop("read1")


def leave_a_process(forger: Forger) -> None:
    """A child outlived its service."""
    forger.evidence.orphans.append("kazoo-tasks child 1")


def test_honest_evidence_is_believed() -> None:
    """No complaint without a lie."""
    assert check(Forger().evidence) == []


def test_what_is_unknown_may_be_either_way() -> None:
    """A removal and an addition that were never answered: there or not, both are true."""
    for final in ([a_success(), a_task(2)], [a_success(), a_task(2), a_task(3)], [a_success(), a_task(3)]):
        forger = Forger()
        forger.history.requests["msg2"].replies.clear()
        forger.remove.replies.clear()
        forger.evidence.steady = False
        forger.evidence.final = final
        assert check(forger.evidence) == []


def test_an_idempotent_task_may_run_once_more_for_each_kill() -> None:
    """But not oftener."""
    forger = Forger()
    forger.history.requests["msg1"].fields["Function"] = "effect_again"
    forger.evidence.service_kills = 1
    forger.evidence.runs["msg1/0"] = 2
    assert check(forger.evidence) == []
    forger.evidence.runs["msg1/0"] = 3
    assert [violation.kind for violation in check(forger.evidence)] == [Kind.TWICE]


def test_what_is_tried_again_is_tried_as_often_as_its_policy_has_it() -> None:
    """And does not fail before that, unless somebody stopped it."""
    forger = Forger()
    forger.history.requests["msg1"].fields["Function"] = "retried"
    forger.evidence.runs["msg1/0"] = 3
    assert check(forger.evidence) == []
    forger.evidence.runs["msg1/0"] = 4
    assert [violation.kind for violation in check(forger.evidence)] == [Kind.TWICE]


@pytest.mark.parametrize(
    ("forge", "kind"),
    [
        (lose_a_task, Kind.LOST),
        (lose_a_start, Kind.LOST),
        (lose_an_effect, Kind.LOST),
        (double_a_task, Kind.TWICE),
        (run_twice, Kind.TWICE),
        (tell_that_it_was_started, Kind.TWICE),
        (change_a_reply, Kind.CHANGED),
        (leave_it_running, Kind.STUCK),
        (resurrect, Kind.UNDONE),
        (change_an_end, Kind.UNDONE),
        (start_it_unasked, Kind.UNASKED),
        (add_it_though_refused, Kind.UNASKED),
        (leave_it_unanswered, Kind.UNANSWERED),
        (answer_only_after_a_kill, Kind.UNANSWERED),
        (fail_for_no_reason, Kind.WRONG),
        (leave_a_process, Kind.ORPHAN),
    ],
)
def test_each_lie_is_found_out(forge: Callable[[Forger], None], kind: Kind) -> None:
    """One lie in otherwise honest evidence is named for what it is."""
    forger = Forger()
    forge(forger)
    assert kind in {violation.kind for violation in check(forger.evidence)}
