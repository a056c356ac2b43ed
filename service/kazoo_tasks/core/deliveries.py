"""How often a message came again because the service ended with it in hand: what killed it may kill it again.

Touches the ledger, where it outlives the process; asked by the listener, of messages that were delivered before.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from typing import Final, cast

from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.wire.codec import decode, encode

#: What the service remembers for itself: no account, nor any `Server-ID`, which is ASCII.
_OWNER: Final = "§ deliveries"
_KEY_BYTES: Final = 16


class Deliveries:
    """Counts the starts of the service in which a message was taken that had been delivered before.

    A lost connection brings messages again as well: within one start it counts once, however often.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Remember in this ledger, for as long as answers are remembered."""
        self._ledger = ledger

    def count(self, body: bytes) -> int:
        """The starts in which it was taken again, this one included if it is taken now."""
        count, epoch = self._known(_requester(body))
        return count if epoch == self._ledger.epoch else count + 1

    async def take(self, body: bytes) -> None:
        """Count it for this start, on disk before it can do any harm."""
        requester, epoch = _requester(body), self._ledger.epoch
        count, counted_in = self._known(requester)
        if counted_in == epoch:
            return
        counted = requester.answered(encode([count + 1, epoch]), self._ledger.answer_time())
        # A store that takes nothing now is no reason to leave a request lying: it is not counted.
        with suppress(StoreUnavailable):
            await self._ledger.commit([], [counted])

    async def answered(self, body: bytes) -> None:
        """Clear it, since it was dealt with: whatever ends the service from here on, this message does not."""
        requester = _requester(body)
        if not self._known(requester)[0]:
            return
        cleared = requester.answered(encode([0, 0]), self._ledger.answer_time())
        # A store that takes nothing now lets it go on to be suspected, which harms nobody but itself.
        with suppress(StoreUnavailable):
            await self._ledger.commit([], [cleared])

    def _known(self, requester: Requester) -> tuple[int, int]:
        reply = self._ledger.recall(requester)
        if reply is None:
            return 0, 0
        count, epoch = cast("tuple[int, int]", decode(reply))
        return count, epoch


def _requester(body: bytes) -> Requester:
    return Requester(_OWNER, f"delivery {blake2b(body, digest_size=_KEY_BYTES).hexdigest()}", b"")
