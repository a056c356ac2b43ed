"""Whether a task that failed is tried again, and when.

Pure; asked by the runner at each end, and by the handlers for what a caller wants.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from kazoo_tasks.authoring import RETRIABLE, Offer, Retry
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.errors import BadArguments
from kazoo_tasks.model.outcome import Failed
from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.attempt import retry_of
from kazoo_tasks.wire.validation import problem


class Retries:
    """A task's own policy, or its function's; never for an end that the function does not allow."""

    def __init__(self, catalogue: Catalogue, random: Callable[[], float]) -> None:
        """Take the functions of `catalogue`; `random` gives a number from 0 to 1."""
        self._catalogue = catalogue
        self._random = random

    def check(self, module: str, function: str, wanted: Retry | None) -> None:
        """Allow a caller's policy, if there is one, for a function that there is.

        Raises:
            BadArguments: It would try again what the function does not allow; `detail` says which ends it does.
        """
        if wanted is None:
            return
        allowed = _allowed(self._catalogue.offer(module, function))
        if allowed and set(wanted.on or ()) <= set(allowed):
            return
        said = f"The function allows another attempt after: {', '.join(allowed) or 'nothing, as it is not idempotent'}"
        raise BadArguments(detail=dict(problem("retry.on", "enum", said, target=list(allowed))))

    def policy(self, task: Task) -> Retry | None:
        """That of a task, if it has one."""
        own = task.retrying and task.retrying.policy
        if own:
            return retry_of(own)
        offer = self._catalogue.offer(task.module, task.function)
        return offer.retry if offer else None

    def retry_at(self, task: Task, outcome: Failed, now: int) -> int | None:
        """When a task is tried again whose attempt ended so, in Gregorian seconds; not at all if there is none."""
        if task.stop_asked or (policy := self.policy(task)) is None or task.attempt >= policy.attempts:
            return None
        allowed = _allowed(self._catalogue.offer(task.module, task.function))
        if outcome.failure not in allowed or (policy.on is not None and outcome.failure not in policy.on):
            return None
        most_s = min(policy.max_backoff_s, policy.backoff_s * 2 ** (task.attempt - 1))
        pause_s: float = self._random() * most_s
        return now + ceil(pause_s)

    def explain(self, task: Task) -> dict[str, Any]:
        """Which attempt comes next, and of how many."""
        policy = self.policy(task)
        told: dict[str, Any] = {"retry_at": task.retry_at, "attempt": task.attempt + 1}
        return told if policy is None else {**told, "of": policy.attempts}


def _allowed(offer: Offer | None) -> tuple[str, ...]:
    if offer is None:
        return ()
    named = offer.retry.on if offer.retry is not None else None
    return RETRIABLE if offer.idempotent else named or ()
