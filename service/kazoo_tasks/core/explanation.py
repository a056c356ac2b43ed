"""Why a task does not run, or what its run takes: asked of those who decide.

Touches the ledger and the runner; asked by the handlers.
"""

from __future__ import annotations

from dataclasses import asdict
from math import ceil
from typing import Any

from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.runner import Runner
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.reason import Reason
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.wire.codec import JsonText


class Explanation:
    """Decides nothing itself."""

    def __init__(self, ledger: Ledger, runner: Runner, logs: TaskLogs) -> None:
        """Ask these."""
        self._ledger = ledger
        self._runner = runner
        self._logs = logs

    def of(self, task: Task) -> dict[str, Any]:
        """Why a task does not run, or what its run takes and may take; empty once it has ended."""
        if task.status is Status.PENDING:
            if task.start_at is None:
                return {"reason": Reason.NOT_STARTED, "waits_for": "its start"}
            return {"reason": Reason.START_AT, "waits_for": "its start", "start_at": task.start_at}
        if task.status is Status.WAITING:
            return self._why(task)
        return self._run(task) if task.status is Status.RUNNING else {}

    def breakers(self) -> list[dict[str, Any]]:
        """The functions that are left alone; `until` is Gregorian seconds, and absent for what waits for a person."""
        return [
            {"function": name, "state": state, **({} if left_s is None else {"until": self._in(left_s)})}
            for name, state, left_s in self._runner.scheduler.breakers()
        ]

    def _why(self, task: Task) -> dict[str, Any]:
        delay = self._runner.scheduler.why(task)
        told = {"reason": delay.reason, "waits_for": delay.waits_for, **delay.details}
        if delay.reason is Reason.RETRY_AT:
            return {**told, **self._runner.retries.explain(task)}
        return told if delay.left_s is None else {**told, delay.reason.value: self._in(delay.left_s)}

    def _run(self, task: Task) -> dict[str, Any]:
        slot = next((slot for slot in self._runner.slots() if slot.task_id == task.id), None)
        if slot is None:
            return {"reason": Reason.POOL_FULL, "waits_for": "its child to begin it"}
        taken = {name: value for name, value in slot._asdict().items() if name not in ("state", "task_id")}
        taken["log_bytes"] = self._logs.size(task)
        taken["version"] = task.version
        limits = asdict(self._runner.limits.of(task))
        if task.checkpoint is not None:
            taken["checkpoint"] = JsonText(task.checkpoint)
        return {**taken, "limits": {name: value for name, value in limits.items() if value is not None}}

    def _in(self, left_s: float) -> int:
        # Seconds are whole, and none is told that is over.
        return self._ledger.now() + ceil(left_s)
