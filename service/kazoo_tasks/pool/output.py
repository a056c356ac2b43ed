"""What is printed outside of runs, on its way into the service's log: no more lines than anybody would read.

Touches one pipe; used by pool.fork_servers and pool.probe, and by pool.capture for a child that imports.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

import structlog

#: Read at once, so that who prints a gigabyte holds nobody up, and neither does its death.
CHUNK: Final = 64 * 1024
#: The slot of what a fork server prints, and a child that is only tried: others begin with 1.
NO_SLOT: Final = 0
_MAX_LAST_READS: Final = 16
#: What is told of a line, and how many lines in a second; the rest is counted.
_LINE_BYTES: Final = 200
_LINES: Final = 20
_log = structlog.get_logger(__name__)


class LogLines:
    """Lines for the log, a few in a second; the others are counted."""

    def __init__(self, monotonic: Callable[[], float], slot: int) -> None:
        """Begin between two lines."""
        self._monotonic = monotonic
        self._slot = slot
        self._rest = b""
        self._since = monotonic()
        self._told = self._untold = 0

    def add(self, data: bytes) -> None:
        """Take what was printed next."""
        *lines, rest = (self._rest + data).split(b"\n")
        # What has no end yet is shown as far as it would be anyway.
        self._rest = rest[:_LINE_BYTES]
        for line in lines:
            self._tell(line)

    def close(self) -> None:
        """Tell what is left."""
        if self._rest:
            self._tell(self._rest)
        self._tell_untold()

    def _tell(self, line: bytes) -> None:
        now = self._monotonic()
        if now - self._since >= 1:
            self._tell_untold()
            self._since, self._told = now, 0
        if self._told < _LINES:
            self._told += 1
            _log.info(
                "pool.output", slot=self._slot, text=line[:_LINE_BYTES].decode(errors="backslashreplace")
            )
        else:
            self._untold += 1

    def _tell_untold(self) -> None:
        if self._untold:
            _log.info("pool.output_dropped", slot=self._slot, lines=self._untold)
            self._untold = 0


class Output:
    """The reading end of what one process prints, until it is closed.

    Attributes:
        fd: The pipe.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, slot: int) -> None:
        """Begin to read; `fd` is non-blocking, and stays its owner's to close."""
        self._loop = loop
        self.fd = fd
        self._lines = LogLines(loop.time, slot)
        loop.add_reader(fd, self._read)

    def close(self) -> None:
        """Read what is there, within reason, and no more; a process that was left behind may hold the other end."""
        for _ in range(_MAX_LAST_READS):
            if not self._read():
                break
        self._loop.remove_reader(self.fd)
        self._lines.close()

    def _read(self) -> bool:
        """Read once; tell whether there may be more."""
        data = read_once(self.fd)
        if data:
            self._lines.add(data)
        elif data is not None:
            self._loop.remove_reader(self.fd)
        return bool(data)


def read_once(fd: int) -> bytes | None:
    """What can be read now; `None` if nothing, and nothing at all if nobody has the other end any more."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
