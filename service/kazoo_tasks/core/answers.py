"""Answers already given, so that the same request again gets the same one and has no second effect.

Memory only; the handlers have each answer journalled in the commit of its effect.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from kazoo_tasks.core.audit import Deed
from kazoo_tasks.model.change import Remembered
from kazoo_tasks.model.errors import REFUSALS, MsgIdConflict, Refused
from kazoo_tasks.wire.codec import decode, encode, kept

#: What a remembered refusal begins with, and no JSON text does.
_REFUSED: Final = b"!"


@dataclass(frozen=True, slots=True)
class Requester:
    """Whose request it is, and what it asks: what makes two requests the same.

    Attributes:
        owner: Within whose requests the `msg_id` is unique.
        digest: Hash of what is asked.
        deed: What the audit tells of it, if anything.
    """

    owner: str
    msg_id: str
    digest: bytes
    deed: Deed | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from other requests."""
        return self.owner, self.msg_id

    def check(self, digest: bytes) -> None:
        """Allow a request whose id was used before.

        Raises:
            MsgIdConflict: It was used to ask for something else.
        """
        if digest != self.digest:
            raise MsgIdConflict

    def answered(self, reply: bytes, at: int) -> Remembered:
        """The answer to be remembered."""
        return Remembered(self.owner, self.msg_id, self.digest, kept(reply), at)

    def refused(self, refused: Refused, at: int) -> Remembered:
        """The refusal to be remembered: an answer like any other."""
        told = encode([refused.reply, str(refused), refused.detail])
        return self.answered(_REFUSED + told, at)


class Answers:
    """The answers of the last while, bounded by age and by size; the oldest go first."""

    def __init__(self, window_s: int, max_bytes: int, remembered: Iterable[Remembered] = ()) -> None:
        """Keep answers for `window_s` seconds, and at most about `max_bytes` of them."""
        self._window_s = window_s
        self._max_bytes = max_bytes
        self._bytes = 0
        # Insertion order is age order: a replaced answer moves to the end. A plain dict would be slow to take
        # from the front of, since it skips what was taken before each time.
        self._by_key: OrderedDict[tuple[str, str], Remembered] = OrderedDict()
        for answer in remembered:
            self.keep(answer)

    def __len__(self) -> int:
        """How many answers are remembered."""
        return len(self._by_key)

    def recall(self, requester: Requester) -> bytes | None:
        """The reply that was given, empty if it was still being worked on; `None` if there was none.

        Raises:
            MsgIdConflict: The id was used to ask for something else.
            Refused: It was refused then, and is again.
        """
        answer = self._by_key.get(requester.key)
        if answer is None:
            return None
        requester.check(answer.digest)
        if answer.reply.startswith(_REFUSED):
            raise _refusal(answer.reply)
        return answer.reply

    def keep(self, answer: Remembered) -> None:
        """Remember an answer instead of any earlier one to the same request."""
        key = answer.owner, answer.msg_id
        self._drop(key)
        self._by_key[key] = answer
        self._bytes += answer.size
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._by_key)))

    def expire(self, now: int) -> int:
        """Drop what is too old, and tell from when on answers are still kept."""
        cutoff = now - self._window_s
        while self._by_key and next(iter(self._by_key.values())).at < cutoff:
            self._drop(next(iter(self._by_key)))
        return cutoff

    def _drop(self, key: tuple[str, str]) -> None:
        dropped = self._by_key.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size


def _refusal(remembered: bytes) -> Refused:
    word, message, detail = cast(
        "tuple[str, str, dict[str, object] | None]", decode(remembered[len(_REFUSED) :])
    )
    return REFUSALS[word](message, detail)
