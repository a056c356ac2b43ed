"""What a slot tells of its runs and children, and to whom.

Pure; implemented by pool.supervisor, used by pool.slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from kazoo_tasks.model.outcome import Outcome
from kazoo_tasks.model.task_log import LogPart
from kazoo_tasks.ports import Assignment

if TYPE_CHECKING:
    from kazoo_tasks.pool.slot import Slot


class State(StrEnum):
    """What a slot is doing."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    RESTING = "resting"


@dataclass(frozen=True, slots=True)
class Loss:
    """How a slot lost its child.

    Attributes:
        status: In words.
        was_ready: It had come up.
        deliberate: The pool wanted it to end.
    """

    status: str
    was_ready: bool
    deliberate: bool


class SlotObserver(Protocol):
    """Who is told; called on the event loop."""

    def began(self, task_id: str) -> None:
        """A run is the child's next thing to do."""
        ...

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """A run of this slot is over; the slot is not idle yet."""
        ...

    def returned(self, assignments: Sequence[Assignment], *, first: bool) -> None:
        """The slot's child did not begin these, and will not; `first` if it should have begun the first of them."""
        ...

    def progressed(self, task_id: str, progress: bytes) -> None:
        """A run reported progress."""
        ...

    def checkpointed(self, task_id: str, checkpoint: bytes) -> None:
        """A run has something to be kept."""
        ...

    def said(self, task_id: str, part: LogPart) -> None:
        """A run printed or logged something."""
        ...

    def leaves(self, function: str, changed: str) -> None:
        """The slot's child had its last run: this changed of the process what cannot be put back. `lost` follows."""
        ...

    def freed(self, slot: Slot) -> None:
        """The slot is idle now."""
        ...

    def taken(self, slot: Slot) -> None:
        """The slot is idle no more."""
        ...

    def ready(self, slot: Slot) -> None:
        """The slot's child came up; `freed` follows."""
        ...

    def broken(self, slot: Slot, reason: str) -> None:
        """The slot's child says that it cannot come up; `lost` follows."""
        ...

    def lost(self, slot: Slot, loss: Loss) -> None:
        """The slot's child is dead and the slot needs another."""
        ...
