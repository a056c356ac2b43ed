"""The handlers with a real journal in a process that is really killed, against the plainest model of it.

Touches processes and files; hypothesis decides what happens and when the kill comes.
"""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from support.fault_handlers import Command, Owner
from support.fault_scale import SCALE

IDEMPOTENT = "erlang.get_cookie"
FUNCTIONS = (IDEMPOTENT, "timer.sleep")
#: What a verb makes of a task, if it is granted.
AFTER = {"start": "active", "stop": "stopped", "end": "success"}
COUNT = 6
WHICH = st.integers(0, COUNT - 1)
NOBODY = "0" * 30
#: About as long as a commit takes, and a few times as long.
MOMENTS_S = st.sampled_from([0.0, 0.0005, 0.001, 0.002, 0.005])


class DeskMachine(RuleBasedStateMachine):
    """Whatever is asked and whenever it is killed: what was acknowledged is there, once, and stays as it ended."""

    def __init__(self) -> None:
        """Begin with an empty directory."""
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.owner = Owner(Path(self.directory.name))
        self.states: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.answers: dict[str, tuple[Command, Any]] = {}
        self.ids = (f"msg-{number}" for number in count())

    @override
    def teardown(self) -> None:
        """Leave nothing."""
        self.owner.kill()
        self.directory.cleanup()

    @rule(function=st.sampled_from(FUNCTIONS))
    def add(self, function: str) -> None:
        """Add a task."""
        self.carry_out({"verb": "add", "msg_id": next(self.ids), "target": function})

    @rule(verb=st.sampled_from(["start", "start", "end", "stop", "remove"]), which=WHICH)
    def change(self, verb: str, which: int) -> None:
        """Do something to a task, whatever state it is in."""
        self.carry_out(self.command(verb, which))

    @rule(which=WHICH)
    def ask_again(self, which: int) -> None:
        """The same request again gets the same answer."""
        for command, answer in list(self.answers.values())[which::COUNT]:
            assert self.owner.ask(command) == answer, command

    @rule()
    def kill_at_rest(self) -> None:
        """Kill it between two requests."""
        self.restart()

    @rule(verb=st.sampled_from(["add", "start", "end", "stop", "remove"]), moment_s=MOMENTS_S, which=WHICH)
    def kill_in_between(self, verb: str, moment_s: float, which: int) -> None:
        """Kill it while it carries out a request, and ask again: it was done before, or is done now."""
        command = self.command(verb, which)
        self.owner.tell(command)
        time.sleep(moment_s)
        self.restart(command["target"], AFTER.get(verb, "gone"))
        if verb != "end":
            self.carry_out(command)

    @invariant()
    def what_was_acknowledged_is_true(self) -> None:
        """Every task is there, in the state it must be in, and no other."""
        assert self.owner.ask({"verb": "look"}) == self.states

    def command(self, verb: str, which: int) -> Command:
        """About a task of the model, or a function to add, or a task that is not there."""
        # What is drawn must not depend on what a kill happened to do, or hypothesis could not repeat it.
        known = FUNCTIONS if verb == "add" else [*self.states] or [NOBODY]
        target = known[which % len(known)]
        return {"verb": verb, "target": target, **({} if verb == "end" else {"msg_id": next(self.ids)})}

    def carry_out(self, command: Command) -> None:
        """Ask, check the answer against the model, and change the model."""
        answer = self.owner.ask(command)
        verb, target = command["verb"], command["target"]
        if "msg_id" in command:
            self.answers[command["msg_id"]] = command, answer
        if verb == "add":
            # It may have been added, and recovered, before a kill: then it is known by now.
            self.states.setdefault(answer["id"], "pending")
            self.functions[answer["id"]] = target
        elif isinstance(answer, dict) or answer is True:
            self.grant(verb, target)

    def grant(self, verb: str, target: str) -> None:
        """What was granted is so from now on, if it is not so already."""
        if verb == "remove":
            assert self.states.pop(target, "gone") in {"pending", "success", "stopped", "interrupted", "gone"}
        elif self.states[target] != "interrupted":
            assert self.states[target] in {"pending", "active", AFTER[verb]}
            self.states[target] = AFTER[verb]

    def restart(self, target: str = "", unknown: str = "") -> None:
        """Kill it, start the next, and take over what recovery and one unanswered request may have changed."""
        self.owner.kill()
        self.owner = Owner(Path(self.directory.name))
        seen = self.owner.ask({"verb": "look"})
        new = seen.keys() - self.states.keys()
        # Only an unanswered `add` makes a task that the model does not know.
        assert len(new) <= (target in FUNCTIONS)
        for task_id in [*self.states, *new]:
            self.take_over(task_id, seen.get(task_id, "gone"), unknown if task_id == target else "")
        assert seen == self.states

    def take_over(self, task_id: str, now: str, unknown: str) -> None:
        """Allow what may have become of one task."""
        before = self.states.get(task_id, "pending")
        allowed = {before, unknown}
        if "active" in allowed and self.functions.get(task_id, IDEMPOTENT) != IDEMPOTENT:
            allowed.add("interrupted")
        assert now in allowed, f"{task_id} was {before}, is {now}"
        if now == "gone":
            del self.states[task_id]
        else:
            self.states[task_id] = now


TestDesk = DeskMachine.TestCase
TestDesk.settings = settings(
    max_examples=SCALE.examples,
    stateful_step_count=SCALE.steps,
    deadline=None,
    # When a kill comes is not in hypothesis's hands, so that a smaller example would seldom fail again.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
