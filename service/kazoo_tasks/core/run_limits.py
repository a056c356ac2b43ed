"""Which limits hold for a run: its function's, its account's and the service's, the tightest of each.

Pure; asked by the runner for every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.limits import NO_LIMITS, Limits, tightest
from kazoo_tasks.model.task import Task


class RunLimits:
    """Worked out once for each function of each account."""

    def __init__(
        self, catalogue: Catalogue, service: Limits = NO_LIMITS, accounts: Mapping[str, Limits] | None = None
    ) -> None:
        """Take the limits of every run, and of those of some accounts."""
        self.catalogue = catalogue
        self._service = service
        self._accounts = accounts or {}
        self._shared: dict[Limits, Limits] = {}
        self._known: dict[tuple[str, str, str | None], Limits] = {}

    def forget(self) -> None:
        """Work them out anew: functions may have others now."""
        self._known.clear()

    def of(self, task: Task) -> Limits:
        """Those of a task's next run."""
        account = task.account_id if task.account_id in self._accounts else None
        key = task.module, task.function, account
        if key not in self._known:
            self._known[key] = self._worked_out(*key)
        return self._known[key]

    def _worked_out(self, module: str, function: str, account: str | None) -> Limits:
        own = self.catalogue.offer(module, function)
        whole = [self._service, self._accounts[account] if account is not None else None, own]
        limits = reduce(tightest, (limits for limits in whole if limits is not None))
        # The pool keeps something for each object that it was given.
        return self._shared.setdefault(limits, limits)
