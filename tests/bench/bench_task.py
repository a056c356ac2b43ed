"""The task module that our side runs: the same no-op that every peer runs.

Touches nothing, but for the probe of the event loop that P11 switches on; loaded by the service and its children.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import suppress
from mmap import mmap
from pathlib import Path

from kazoo_tasks.authoring import task

#: Names a file of eight bytes; the service then keeps in it by how much its event loop was late at the worst.
PROBE_VARIABLE = "BENCH_PROBE"
_TICK_S = 0.001
_DOUBLE = struct.Struct("d")


@task(idempotent=True)
def noop(digits: str) -> None:
    """Do nothing."""


class Probe:
    """A timer in the service's event loop that is due every millisecond and notes how late it comes."""

    def __init__(self, file: Path) -> None:
        """Begin; the file holds the worst until somebody sets it back."""
        with file.open("r+b") as opened:
            self._worst = mmap(opened.fileno(), _DOUBLE.size)
        import asyncio  # noqa: PLC0415 - 3 MB that no child shall carry for the sake of this bench

        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._wait()

    def _wait(self) -> None:
        # Not the loop's own time, which uvloop rounds to milliseconds.
        self._due = time.monotonic() + _TICK_S
        self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        late = time.monotonic() - self._due
        if late > _DOUBLE.unpack_from(self._worst)[0]:
            _DOUBLE.pack_into(self._worst, 0, late)
        self._wait()


if PROBE_VARIABLE in os.environ:
    with suppress(RuntimeError):  # a child has no event loop
        Probe(Path(os.environ[PROBE_VARIABLE]))
