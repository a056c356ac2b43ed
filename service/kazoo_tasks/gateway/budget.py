"""How many bytes of requests may be in hand at once, in all connections together.

Memory only; used where bodies are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_tasks.gateway.fault import OVERLOADED, FaultError


class Budget:
    """So many bytes and no more, whoever brings them."""

    def __init__(self, limit: int) -> None:
        """Nothing is taken yet."""
        self._left = limit

    @contextmanager
    def share(self) -> Iterator[Share]:
        """A part of it, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self._left += share.taken

    def take(self, count: int) -> None:
        """Take some.

        Raises:
            FaultError: There is not enough left.
        """
        if count > self._left:
            raise FaultError(OVERLOADED)
        self._left -= count


class Share:
    """What one request has taken."""

    def __init__(self, budget: Budget) -> None:
        """Take nothing yet."""
        self._budget = budget
        self.taken = 0

    def take(self, count: int) -> None:
        """Take more; see `Budget.take`."""
        self._budget.take(count)
        self.taken += count
