"""Whether an account may have more: what is refused at the door, since waiting would not help.

Touches the registry; asked by the handlers with what they are about to commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kazoo_tasks.core.registry import Registry
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import QuotaExceeded
from kazoo_tasks.model.quota import Quota
from kazoo_tasks.model.task import Status

#: When asking again is worth it: what waits runs all the time, what is stored goes by retention or by hand.
_RETRY_S: Final = {"waiting": 1, "stored": 60}
#: So many more, by account and quota.
Place = Mapping[tuple[str, str], int]


class Quotas:
    """Counts what is there and what is being written, so that requests at one moment do not pass together."""

    def __init__(self, registry: Callable[[], Registry], quota_of: Callable[[str], Quota]) -> None:
        """Nothing is being written."""
        self._registry = registry
        self._quota_of = quota_of
        self._under_way: Counter[tuple[str, str]] = Counter()

    def take(self, changes: Sequence[Change]) -> Place:
        """Hold the place of what an account's changes add, until they are settled.

        Raises:
            QuotaExceeded: There is none.
        """
        if not changes:
            return {}
        account_id = changes[0].task.account_id
        quota = self._quota_of(account_id)
        if quota.max_waiting is None and quota.max_stored is None:
            return {}
        kinds, registry = Counter(change.kind for change in changes), self._registry()
        # What is assigned in the same breath does not wait.
        waiting, stored = kinds[Kind.STARTED] - kinds[Kind.ASSIGNED], kinds[Kind.ADDED]
        self._check("waiting", account_id, waiting, registry.count(account_id, Status.WAITING))
        self._check("stored", account_id, stored, registry.stored(account_id))
        place = {(account_id, "waiting"): waiting, (account_id, "stored"): stored}
        self._under_way.update(place)
        return place

    def settled(self, place: Place) -> None:
        """Count what was held no more: it is there by now, or will not be."""
        for key, number in place.items():
            self._under_way[key] -= number
            if not self._under_way[key]:
                del self._under_way[key]

    def _check(self, name: str, account_id: str, more: int, there: int) -> None:
        limit = getattr(self._quota_of(account_id), f"max_{name}")
        used = there + self._under_way[account_id, name]
        if limit is not None and more and used + more > limit:
            message = f"the account may have {limit} {name} tasks, and has {used}"
            detail: dict[str, object] = {
                "quota": name,
                "limit": limit,
                "used": used,
                "retry_in_s": _RETRY_S[name],
            }
            raise QuotaExceeded(message, detail)
