"""Judge a whole history against what is there at the end: what was acknowledged must be true, once and for ever.

Pure; called with the evidence of a run, and by its own tests with forged evidence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from support.fault_history import NOT_NOW, READS, Body, Evidence, Outcome, Request

_CLASS: Final = re.compile(r"\(<[\d.]+>\) ([a-z]+): ")
_IDEMPOTENT: Final = frozenset({"nap", "effect_again"})
_EFFECTS: Final = frozenset({"effect", "effect_again", "alone", "keyed", "retried"})
#: How often one is tried, whatever is killed: it is not idempotent.
_ATTEMPTS: Final = {"retried": 3}
_KNOWN_REFUSALS: Final = frozenset({NOT_NOW, "already_started", "not_running", "task_running", "not_found"})
#: Later than everything in the history.
_AT_THE_END: Final = float("inf")


class Kind(StrEnum):
    """The ways in which a service can be untrue."""

    LOST = "acknowledged and lost"
    TWICE = "done twice"
    STUCK = "stuck"
    CHANGED = "answered differently"
    UNDONE = "final and changed"
    UNASKED = "done though nobody asked, or though it was refused"
    UNANSWERED = "taken and never answered"
    WRONG = "not what it should be"
    ORPHAN = "alive after its service was killed"


@dataclass(frozen=True, slots=True)
class Violation:
    """One untruth."""

    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A task as an answer showed it; what was shown was true at some time between the two."""

    sent_at: float
    seen_at: float
    task: Body

    @property
    def rank(self) -> int:
        """How far the task was in its life."""
        terminated = self.task.get("is_terminated")
        return 0 if terminated is None else 1 + terminated


@dataclass
class _Story:
    """Everything that was asked and seen of one task."""

    tag: str
    added_by: Request
    asked: dict[str, list[Request]] = field(default_factory=dict)
    sightings: list[_Sighting] = field(default_factory=list)
    final: Body | None = None

    def maybe(self, event: str, but: Request | None = None) -> bool:
        """Whether a request of this kind, other than one, was or may have been carried out."""
        return any(r.may_have_happened for r in self.asked.get(event, ()) if r is not but)

    def surely(self, event: str) -> list[Request]:
        """The requests of this kind that were acknowledged."""
        return [r for r in self.asked.get(event, ()) if r.outcome is Outcome.OK]

    @property
    def may_be_started(self) -> bool:
        """Whether somebody asked for that and was not refused."""
        return bool(self.added_by.fields.get("Start")) or self.maybe("start_req")

    @property
    def must_be_started(self) -> bool:
        """Whether that was acknowledged."""
        at_once = self.added_by.fields.get("Start") and self.added_by.outcome is Outcome.OK
        return bool(at_once or self.surely("start_req"))


class Checker:
    """Holds one run's evidence against every rule."""

    def __init__(self, evidence: Evidence) -> None:
        """Sort the evidence by task."""
        self._evidence = evidence
        self._by_tag = {tag: r for r in evidence.history.of("add_req") for tag in r.tags}

    @cached_property
    def _stories(self) -> dict[str, _Story]:
        """By task id: those that were acknowledged, and those that are there."""
        stories: dict[str, _Story] = {}
        for request in self._evidence.history.of("add_req"):
            for task, tag in zip(request.tasks, request.tags, strict=False):
                stories[task["id"]] = _Story(tag, request)
        for task in self._evidence.final:
            tag = tag_of(task)
            if task["id"] not in stories and tag in self._by_tag:
                stories[task["id"]] = _Story(tag, self._by_tag[tag])
            if task["id"] in stories:
                stories[task["id"]].final = task
        self._fill(stories)
        return stories

    def _fill(self, stories: dict[str, _Story]) -> None:
        for request in self._evidence.history:
            if request.task_id in stories:
                stories[request.task_id].asked.setdefault(request.event, []).append(request)
            for task in request.tasks:
                if request.answer is not None and task["id"] in stories:
                    sighting = _Sighting(request.sent_at, request.answer.at, task)
                    stories[task["id"]].sightings.append(sighting)

    def violations(self) -> Iterator[Violation]:
        """Everything that is untrue."""
        for orphan in self._evidence.orphans:
            yield Violation(Kind.ORPHAN, orphan)
        for task in self._evidence.stuck:
            yield Violation(Kind.STUCK, f"task {task['id']} ({tag_of(task)}) does not end")
        for message in self._evidence.unanswered if self._evidence.steady else ():
            yield Violation(Kind.UNANSWERED, f"{message} was only answered by the next start, if at all")
        for request in self._evidence.history:
            yield from self._check_request(request)
        yield from self._check_tags()
        yield from self._check_runs()
        for task_id, story in self._stories.items():
            for violation in self._check_story(story):
                yield Violation(violation.kind, f"task {task_id} ({story.tag}): {violation.what}")

    def _check_request(self, request: Request) -> Iterator[Violation]:
        name = f"{request.event} {request.msg_id}"
        decided = {reply.text for reply in request.replies if reply.value != NOT_NOW}
        if request.event not in READS and len(decided) > 1:
            yield Violation(Kind.CHANGED, f"{name}: {sorted(decided)}")
        if self._evidence.steady and len(request.replies) < request.sends:
            got = f"sent {request.sends} times, answered {len(request.replies)} times"
            yield Violation(Kind.UNANSWERED, f"{name}: {got}")
        word = request.answer.value if request.answer else None
        if isinstance(word, str) and word not in _KNOWN_REFUSALS:
            yield Violation(Kind.WRONG, f"{name}: refused with {word}")
        if request.event == "add_req" and request.outcome is Outcome.OK:
            shown = [tag_of(task) for task in request.tasks]
            if shown != request.tags:
                yield Violation(Kind.WRONG, f"{name}: asked for {request.tags}, got {shown}")

    def _check_tags(self) -> Iterator[Violation]:
        counts = Counter(tag_of(task) for task in self._evidence.final)
        for tag, count in counts.items():
            request = self._by_tag.get(tag)
            if request is None or request.outcome is Outcome.REFUSED:
                yield Violation(Kind.UNASKED, f"there is a task {tag}")
            elif count > 1:
                yield Violation(Kind.TWICE, f"there are {count} tasks {tag}")
        for task in self._evidence.final:
            request = self._by_tag.get(tag_of(task))
            if (
                request
                and request.outcome is Outcome.OK
                and task["id"] not in {t["id"] for t in request.tasks}
            ):
                yield Violation(
                    Kind.TWICE, f"task {task['id']} ({tag_of(task)}) was acknowledged by another id"
                )

    def _check_runs(self) -> Iterator[Violation]:
        for tag, runs in self._evidence.runs.items():
            request = self._by_tag.get(tag)
            if request is None or not request.may_have_happened:
                yield Violation(Kind.UNASKED, f"{tag} was run")
            elif runs > self._allowed_runs(function_of(request, tag)):
                yield Violation(Kind.TWICE, f"{tag} was run {runs} times")

    def _allowed_runs(self, function: str) -> int:
        kills = self._evidence.service_kills if function in _IDEMPOTENT else 0
        return _ATTEMPTS.get(function, 1) + kills

    def _check_story(self, story: _Story) -> Iterator[Violation]:
        yield from _check_refusals(story)
        yield from _check_order(story)
        if story.final is None:
            if not story.maybe("remove_req"):
                yield Violation(Kind.LOST, "it is not there, and nobody asked to remove it")
            return
        if story.surely("remove_req"):
            yield Violation(Kind.UNDONE, "it was removed, and is there")
        yield from _check_start(story, story.final)
        yield from self._check_end(story, story.final)

    def _check_end(self, story: _Story, final: Body) -> Iterator[Violation]:
        if final.get("is_terminated") is False:
            yield Violation(Kind.STUCK, "it was started and never ends")
        elif final.get("is_success"):
            yield from self._check_success(story, final)
        elif "error" in final:
            yield from self._check_failure(story, final)

    def _check_success(self, story: _Story, final: Body) -> Iterator[Violation]:
        if final.get("result") != story.tag:
            yield Violation(Kind.WRONG, f"expected {story.tag} as its result, got {final.get('result')}")
        if final["function"] in _EFFECTS and not self._evidence.runs.get(story.tag):
            yield Violation(Kind.LOST, "it succeeded, and its effect is not there")

    def _check_failure(self, story: _Story, final: Body) -> Iterator[Violation]:
        function, failure = final["function"], failure_of(final)
        if failure == "stopped" and not story.maybe("stop_req"):
            yield Violation(Kind.UNASKED, "it was stopped")
        expected = {
            "stopped": True,
            # What is to stop is not tried again, however it ends.
            "error": function == "fail" or (function in _ATTEMPTS and story.maybe("stop_req")),
            "interrupted": bool(self._evidence.service_kills) and function not in _IDEMPOTENT,
            "killed": self._evidence.children_killed,
        }
        if not expected.get(failure):
            yield Violation(Kind.WRONG, f"{function} failed: {final['error']}")


def _check_refusals(story: _Story) -> Iterator[Violation]:
    """What a refusal says must have a reason other than the refused request itself."""
    for event, requests in story.asked.items():
        for request in requests:
            word = request.answer.value if request.answer else None
            if word == "not_found" and not story.maybe("remove_req", but=request):
                kind = Kind.TWICE if event == "remove_req" else Kind.LOST
                yield Violation(kind, f"{event} {request.msg_id} did not find it, and nobody else removed it")
            at_once = story.added_by.fields.get("Start")
            if word == "already_started" and not at_once and not story.maybe("start_req", but=request):
                yield Violation(Kind.TWICE, f"{event} {request.msg_id}: started already, by nobody else")


def _check_order(story: _Story) -> Iterator[Violation]:
    """What was seen later, was later: a life goes one way, an end is final, and what is removed is gone."""
    gone_at = min((r.answer.at for r in story.surely("remove_req") if r.answer), default=_AT_THE_END)
    last = [_Sighting(_AT_THE_END, _AT_THE_END, story.final)] if story.final else []
    best: _Sighting | None = None
    by_sending = sorted([*story.sightings, *last], key=lambda sighting: sighting.sent_at)
    by_seeing = sorted(story.sightings, key=lambda sighting: sighting.seen_at)
    seen = iter(by_seeing)
    upcoming = next(seen, None)
    for sighting in by_sending:
        while upcoming is not None and upcoming.seen_at < sighting.sent_at:
            best = upcoming if best is None or upcoming.rank >= best.rank else best
            upcoming = next(seen, None)
        if sighting.sent_at > gone_at and sighting.sent_at != _AT_THE_END:
            yield Violation(Kind.UNDONE, "it was removed, and was shown afterwards")
            return
        if best is not None and _goes_back(best, sighting):
            yield Violation(Kind.UNDONE, f"it was {best.task}, and later {sighting.task}")
            return


def _goes_back(earlier: _Sighting, later: _Sighting) -> bool:
    if earlier.rank == 2:
        return _lasting(earlier.task) != _lasting(later.task)
    return later.rank < earlier.rank


def _lasting(task: Body) -> Body:
    """All but what is told only of a task that is read alone."""
    return {name: value for name, value in task.items() if name != "attempts"}


def _check_start(story: _Story, final: Body) -> Iterator[Violation]:
    started = "started_at" in final
    if started and not story.may_be_started:
        yield Violation(Kind.UNASKED, "it was started")
    if not started and story.must_be_started:
        yield Violation(Kind.LOST, "its start was acknowledged, and it is pending")


def tag_of(task: Body) -> str:
    """What a task carries as its first argument."""
    arguments: list[Any] = task["arguments"]
    return str(arguments[0]) if arguments else ""


def function_of(request: Request, tag: str) -> str:
    """The function of one of the tasks that a request adds."""
    wanted: list[Body] = request.fields.get("Tasks") or [request.fields]
    return next(str(new["Function"]) for new in wanted if str(new["Arguments"][0]) == tag)


def failure_of(task: Body) -> str:
    """The class of a failed task's error."""
    found = _CLASS.match(task["error"])
    return found.group(1) if found else task["error"]


def check(evidence: Evidence) -> list[Violation]:
    """Everything that is untrue in the evidence; nothing, if all is well."""
    return list(Checker(evidence).violations())
