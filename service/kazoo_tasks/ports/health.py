"""Health: whether the process can do its work.

No implementation; assembly.health has one.
"""

from __future__ import annotations

from typing import Protocol


class Health(Protocol):
    """What a supervisor's probe asks."""

    async def unwell(self) -> dict[str, str]:
        """The parts that are unwell, and why; empty while all is well."""
        ...
