"""Connection limits: room for everybody, and none for those who only sit there.

Memory only; asked by each connection of the gateway as it comes, turns idle and goes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Protocol

from kazoo_tasks.gateway.settings import GatewaySettings


class Guest(Protocol):
    """A connection, seen from here."""

    @property
    def address(self) -> str:
        """Where it comes from."""
        ...

    def hang_up(self) -> None:
        """End it now."""
        ...


class ConnectionLimits:
    """Connections in all and from each address; when there are too many, the one that is idle longest gives way."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Nobody is there."""
        self._settings = settings
        self._by_address: Counter[str] = Counter()
        self._idle: OrderedDict[Guest, None] = OrderedDict()
        self._count = 0
        #: How many had to go, or were not let in.
        self.turned_away = 0

    def enter(self, guest: Guest) -> bool:
        """Count a new one in, which has not asked for anything yet; whether there is room for it."""
        others = guest.address if self._is_crowded(guest.address) else None
        if others is not None or self._count >= self._settings.max_connections:
            self.turned_away += 1
            idle = self._longest_idle(others)
            if idle is not None:
                self.leave(idle)
                idle.hang_up()
            else:
                return False
        self._count += 1
        self._by_address[guest.address] += 1
        self._idle[guest] = None
        return True

    def leave(self, guest: Guest) -> None:
        """Count it out; to be called once for each that entered."""
        self._idle.pop(guest, None)
        self._count -= 1
        self._by_address[guest.address] -= 1
        if not self._by_address[guest.address]:
            del self._by_address[guest.address]

    def is_busy(self, guest: Guest) -> None:
        """Learn that it has asked for something."""
        self._idle.pop(guest, None)

    def is_idle(self, guest: Guest) -> None:
        """Learn that it has been answered."""
        self._idle[guest] = None

    def _is_crowded(self, address: str) -> bool:
        return self._by_address[address] >= self._settings.max_connections_per_address

    def _longest_idle(self, address: str | None) -> Guest | None:
        return next((guest for guest in self._idle if address in (None, guest.address)), None)
