"""Attempts of a task, and how it is tried again: as they are kept and shown.

Pure; written by the runner, shown to whoever reads one task.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.authoring import MAX_ATTEMPTS, MAX_BACKOFF_S, RETRIABLE, Retry
from kazoo_tasks.model.task import Task
from kazoo_tasks.wire.codec import decode_stored, encode, kept

#: Of the error of an attempt that is over; that of the last one is kept whole, as the task's.
_MAX_ERROR: Final = 2_000


class RetryPolicy(BaseModel):
    """How often, how soon and after which ends a task is tried again."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)]
    backoff: Annotated[float, Field(ge=0, le=MAX_BACKOFF_S, description="seconds")] = 10
    max_backoff: Annotated[float, Field(ge=0, le=MAX_BACKOFF_S, description="seconds")] = 3600
    on: list[Literal[RETRIABLE]] | None = None  # type: ignore[valid-type]  # so that the words stand once

    def policy(self) -> Retry:
        """As the core has it."""
        return Retry(
            self.attempts, self.backoff, self.max_backoff, None if self.on is None else tuple(self.on)
        )


def retry_text(retry: Retry) -> bytes:
    """JSON text of a policy, as a task keeps and shows it."""
    shown: dict[str, Any] = {"attempts": retry.attempts}
    for name, seconds in (("backoff", retry.backoff_s), ("max_backoff", retry.max_backoff_s)):
        shown[name] = int(seconds) if float(seconds).is_integer() else seconds
    return kept(encode(shown if retry.on is None else {**shown, "on": list(retry.on)}))


def retry_of(text: bytes) -> Retry:
    """The policy that a task keeps."""
    return RetryPolicy.model_validate(decode_stored(text)).policy()


def history_with(task: Task, ended_at: int, error: str) -> bytes:
    """The attempts of a task that are over, and the one that ends now."""
    before = _history(task)
    if _is_told(task, before):
        return before
    over = kept(encode(_attempt(task, ended_at, error)))
    return b",".join((before, over)) if before else over


def attempts_text(task: Task) -> bytes | None:
    """JSON text of all attempts, oldest first; none of a task that was never tried again."""
    before = _history(task)
    if not before:
        return None
    if _is_told(task, before):
        return b"[" + before + b"]"
    return b"[" + before + b"," + encode(_attempt(task, task.ended_at, task.error)) + b"]"


def _history(task: Task) -> bytes:
    return (task.retrying and task.retrying.history) or b""


def _is_told(task: Task, history: bytes) -> bool:
    """Whether the last attempt is over and in the history: what waits for its next one may be stopped."""
    attempts = decode_stored(b"[" + history + b"]")
    return isinstance(attempts, list) and bool(attempts) and attempts[-1]["attempt"] == task.attempt


def _attempt(task: Task, ended_at: int | None, error: str | None) -> dict[str, Any]:
    said = {
        "attempt": task.attempt,
        "started_at": task.began_at,
        "ended_at": ended_at,
        "error": error and error[:_MAX_ERROR],
    }
    return {name: value for name, value in said.items() if value is not None}
