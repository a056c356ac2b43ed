"""The scheduler with all that it goes by: weights, quotas, rates and breakers, as the settings have them.

Touches nothing outside; called once by the service.
"""

from __future__ import annotations

from functools import partial

import structlog

from kazoo_tasks.assembly.start_rate import StartRate
from kazoo_tasks.core.breaker import BreakerPolicy, Breakers, BreakerState
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.concurrency import Accounts, Concurrency
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.core.scheduler import Scheduler
from kazoo_tasks.ports import Clock, Pool
from kazoo_tasks.settings import Settings

_log = structlog.get_logger(__name__)


def build_scheduler(settings: Settings, pool: Pool, catalogue: Catalogue, clock: Clock) -> Scheduler:
    """The one of a service."""
    policy = BreakerPolicy(settings.breaker_deaths, settings.breaker_window_s, settings.breaker_pause_s)
    breakers = Breakers(policy, clock.monotonic, _tell)
    accounts = Accounts(settings.quotas(), partial(StartRate, monotonic=clock.monotonic))
    concurrency = Concurrency(catalogue, accounts, breakers, clock.monotonic)
    return Scheduler(pool, ReadAhead(clock.monotonic), catalogue, concurrency, settings.account_weights)


def _tell(function: str, state: BreakerState | None) -> None:
    if state is None:
        _log.info("breaker.closed", function=function)
    else:
        _log.warning("breaker.opened", function=function)
