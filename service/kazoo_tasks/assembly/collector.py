"""Keep Python's cycle collector from looking through a million tasks again and again.

Touches the collector's state, which is the process's; used by the service.
"""

from __future__ import annotations

import gc
from typing import Final

#: Collections of the youngest two generations before the oldest is looked through: the collector's own choice of the
#: moment would be the worst.
_NEVER: Final = 1_000_000
#: A connection that is spared while it lives leaves 60 KB when it is lost, in cycles that nobody looks for any more.
_MAX_LOST: Final = 50


class Collector:
    """Spares what there is to stay; a pass over a million tasks holds everything up for 0.3 s."""

    def __init__(self) -> None:
        """Nothing was lost yet."""
        self._lost = 0

    def lost(self) -> None:
        """Learn that a connection was lost, which may have been spared."""
        self._lost += 1

    def spare(self) -> None:
        """Collect what is garbage, then have the rest never looked at again.

        To be called every few seconds, so that little is new. Once many connections were lost everything is looked at.
        """
        gc.set_threshold(*gc.get_threshold()[:2], _NEVER)
        if self._lost >= _MAX_LOST:
            gc.unfreeze()
            self._lost = 0
        gc.collect()
        gc.freeze()
