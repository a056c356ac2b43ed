"""Which parts of the process are unwell, asked of each in turn.

Touches only what it is given; read by the health endpoints and by the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kazoo_tasks.model.errors import BusUnavailable
from kazoo_tasks.ports import Bus, Caller

#: Of this shape, and nobody's.
_NO_TASK: Final = "0" * 30
#: Says why a part is unwell, or nothing.
Check = Callable[[], Awaitable[str | None]]


class Checkup:
    """See `ports.Health`."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        """Take a check for each part."""
        self._checks = dict(checks)

    def add(self, checks: Mapping[str, Check]) -> None:
        """Ask these as well, instead of any for the same part."""
        self._checks |= checks

    async def unwell(self) -> dict[str, str]:
        """The parts that are unwell, and why."""
        found = {part: await check() for part, check in self._checks.items()}
        return {part: reason for part, reason in found.items() if reason is not None}


def bus_check(bus: Bus) -> Check:
    """The broker is there and takes what we say."""

    async def check() -> str | None:
        if not bus.connected:
            return "no connection to the broker"
        return f"the broker blocks publishers: {bus.blocked}" if bus.blocked is not None else None

    return check


async def starting() -> str:
    """A part that is not there yet."""
    return "starting"


def gateway_checks(bus: Bus, caller: Caller) -> dict[str, Check]:
    """What a gateway needs to be of use: a broker, and a service that answers."""

    async def check_service() -> str | None:
        try:
            # To say that there is no such task a service must be there.
            await caller.call("read_req", {"Task-ID": _NO_TASK})
        except BusUnavailable as error:
            return str(error)
        return None

    # The bus comes second: the broker says that it blocks us only when we send something.
    return {"service": check_service, "bus": bus_check(bus)}
