"""What a child prints, on its way into the log: lines of its own, and not more of them than anybody would read.

Touches one pipe; made by pool.slot for each child, which has the other end as its stdout and stderr, and by
pool.supervisor for the fork server.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

import structlog

#: Read at once, so that a child that prints a gigabyte holds nobody up, and neither does its death.
_CHUNK: Final = 64 * 1024
_MAX_LAST_READS: Final = 16
#: What is told of a line, and how many lines in a second; the rest is counted.
_LINE_BYTES: Final = 200
_LINES: Final = 20
_log = structlog.get_logger(__name__)


class Output:
    """The reading end of one child's output, until it is closed.

    Attributes:
        fd: The pipe.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, slot: int) -> None:
        """Begin to read; `fd` is non-blocking, and stays its owner's to close."""
        self._loop = loop
        self.fd = fd
        self._slot = slot
        self._rest = b""
        self._since = loop.time()
        self._told = self._untold = 0
        loop.add_reader(fd, self._read)

    def close(self) -> None:
        """Read what is there, within reason, and no more; a process that the child left behind may hold its end."""
        for _ in range(_MAX_LAST_READS):
            if not self._read():
                break
        self._loop.remove_reader(self.fd)
        if self._rest:
            self._tell(self._rest)
        self._tell_untold()

    def _read(self) -> bool:
        """Read once; tell whether there may be more."""
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self.fd)
            return False
        *lines, rest = (self._rest + data).split(b"\n")
        # What has no end yet is shown as far as it would be anyway.
        self._rest = rest[:_LINE_BYTES]
        for line in lines:
            self._tell(line)
        return True

    def _tell(self, line: bytes) -> None:
        now = self._loop.time()
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
