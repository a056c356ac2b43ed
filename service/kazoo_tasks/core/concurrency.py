"""Who may run beside whom: what runs now, counted against the limits of accounts, functions and keys.

Pure; kept by the scheduler, which asks before each run and tells it of each end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from kazoo_tasks.authoring import Offer
from kazoo_tasks.core.breaker import Breakers
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.outcome import Outcome
from kazoo_tasks.model.quota import Contender, Group, Obstacle, Quota
from kazoo_tasks.model.reason import Reason

#: More rates are remembered only of accounts that have started something within the last second.
_FEW_RATES: Final = 1024
_NO_PROMISE: Final = Offer()


class Rate(Protocol):
    """Counts the starts of one account."""

    def wait_s(self) -> float:
        """Seconds until one more may be; 0 if it may now."""
        ...

    def take(self) -> None:
        """Count one."""
        ...

    def is_idle(self) -> bool:
        """Whether it remembers nothing that matters."""
        ...


class Accounts(NamedTuple):
    """What holds for accounts.

    Attributes:
        quota_of: That of an account.
        new_rate: Counts no more than so many starts within a second.
    """

    quota_of: Callable[[str], Quota]
    new_rate: Callable[[int], Rate]


class _Run(NamedTuple):
    """A run that counts, and in what."""

    who: Contender
    groups: tuple[Group, ...]


class Concurrency:
    """Counted from the runs themselves, each by its task's id: what ends twice, or never began, changes nothing."""

    def __init__(
        self, catalogue: Catalogue, accounts: Accounts, breakers: Breakers, monotonic: Callable[[], float]
    ) -> None:
        """Nothing runs.

        Args:
            catalogue: Knows what each function says of itself.
            accounts: What holds for them.
            breakers: Of functions.
            monotonic: The clock that `Obstacle.until` is of.
        """
        self.breakers = breakers
        self._catalogue = catalogue
        self._accounts = accounts
        self._monotonic = monotonic
        self._rates: dict[str, Rate] = {}
        self._runs: dict[str, _Run] = {}
        self._counts: Counter[Group] = Counter()

    def obstacle(self, who: Contender) -> Obstacle | None:
        """Why one more of these may not run now; none if it may."""
        return (
            (self.breakers.not_closed and self._breaker(who))
            or self._limit(who)
            or self._spent(who.account_id)
        ) or None

    def take(self, task_id: str, who: Contender) -> None:
        """Count a run that is about to be."""
        groups = tuple(group for group, _ in self._limits(who))
        self._runs[task_id] = _Run(who, groups)
        for group in groups:
            self._counts[group] += 1
        if (rate := self._rate(who.account_id)) is not None:
            rate.take()
        if self.breakers.not_closed:
            self.breakers.took(name_of(who), task_id)

    def give_back(self, task_id: str) -> Sequence[Group]:
        """Count a run no more; gives the groups that it counted in."""
        run = self._runs.pop(task_id, None)
        if run is None:
            return ()
        for group in run.groups:
            self._counts[group] -= 1
            if not self._counts[group]:
                del self._counts[group]
        return run.groups if not self.breakers.not_closed else (*run.groups, breaker_group(name_of(run.who)))

    def ended(self, task_id: str, outcome: Outcome) -> str | None:
        """Learn how a run ended; it counts until it is given back. Gives whose breaker that opened or closed."""
        run = self._runs.get(task_id)
        if run is None or not self.breakers.ended(name_of(run.who), task_id, outcome):
            return None
        return name_of(run.who)

    def groups(self, who: Contender) -> Iterator[Group]:
        """Where one of these may have to wait."""
        yield breaker_group(name_of(who))
        for group, _ in self._limits(who):
            yield group

    def count_anew(self) -> None:
        """Take in that functions have other limits now."""
        for task_id, run in self._runs.items():
            self._runs[task_id] = run._replace(groups=tuple(group for group, _ in self._limits(run.who)))
        self._counts = Counter(group for run in self._runs.values() for group in run.groups)

    def _limit(self, who: Contender) -> Obstacle | None:
        for group, limit in self._limits(who):
            if (running := self._counts[group]) >= limit:
                return Obstacle(group, group.reason, running=running, limit=limit)
        return None

    def _spent(self, account_id: str) -> Obstacle | None:
        rate = self._rate(account_id)
        if rate is None or not (wait_s := rate.wait_s()):
            return None
        return Obstacle(Group(Reason.RATE_UNTIL, account_id), Reason.RATE_UNTIL, self._monotonic() + wait_s)

    def _breaker(self, who: Contender) -> Obstacle | None:
        name = name_of(who)
        state = self.breakers.not_closed.get(name)
        if state is None:
            return None
        group = breaker_group(name)
        if state.until > self._monotonic():
            return Obstacle(group, group.reason, state.until)
        return Obstacle(group, group.reason) if state.probe in self._runs else None

    def _rate(self, account_id: str) -> Rate | None:
        limit = self._accounts.quota_of(account_id).starts_per_s
        if limit is None:
            return None
        if account_id not in self._rates:
            if len(self._rates) >= _FEW_RATES:
                self._rates = {key: rate for key, rate in self._rates.items() if not rate.is_idle()}
            self._rates[account_id] = self._accounts.new_rate(limit)
        return self._rates[account_id]

    def _limits(self, who: Contender) -> Iterator[tuple[Group, int]]:
        account_id = who.account_id
        if (most := self._accounts.quota_of(account_id).max_running) is not None:
            yield Group(Reason.ACCOUNT_LIMIT, account_id), most
        offer = self._catalogue.offer(who.module, who.function) or _NO_PROMISE
        if offer.max_running is not None:
            yield Group(Reason.FUNCTION_LIMIT, None, name_of(who)), offer.max_running
        if offer.max_running_per_account is not None:
            yield Group(Reason.FUNCTION_LIMIT, account_id, name_of(who)), offer.max_running_per_account
        if who.key is not None:
            yield Group(Reason.KEY_LIMIT, account_id, who.key), offer.max_running_per_key


def name_of(who: Contender) -> str:
    """The function's, as people write it."""
    return f"{who.module}.{who.function}"


def breaker_group(function: str) -> Group:
    """What waits for the breaker of `module.function`."""
    return Group(Reason.BREAKER_UNTIL, None, function)
