"""What a child says beside its frames, as it comes: told with the run that said it.

Touches its child's pipes through the event loop; made by pool.slot for each child. The other end is pool.said.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from kazoo_tasks.model.errors import Corrupt
from kazoo_tasks.model.task_log import LogPart, Stream
from kazoo_tasks.pool.fork_client import Child
from kazoo_tasks.pool.in_flight import InFlight
from kazoo_tasks.pool.output import CHUNK, LogLines, read_once
from kazoo_tasks.pool.said import IS_READ, MAX_ANSWER_BYTES, MAX_RECORD_BYTES, READ, RECORD
from kazoo_tasks.wire.codec import decode_object

Tell = Callable[[str, LogPart], None]
#: Read at once of what a dying child, or one at the end of a run, has said; whatever goes on for longer does not stop.
_MAX_LAST_READS: Final = 64
#: After a pipe that was full: a task that prints without end has 64 MB/s, and the service a tenth of its time for it.
_PAUSE_S: Final = 0.001
#: Messages of one turn, so that a task that does nothing but log holds nobody up.
_MAX_RECORDS: Final = 32


class Capture:
    """The reading ends of one child, until they are closed.

    What is read belongs to the run that the child has begun last: before the end of a run it asks whether all is read
    that the run has said (pool.said), and while we read it begins no other (InFlight.held).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, child: Child, in_flight: InFlight, tell: Tell, slot: int
    ) -> None:
        """Begin to read, and tell what comes."""
        self._loop = loop
        self._in_flight = in_flight
        self._tell = tell
        self._records: socket.socket = child.records
        self._streams = {child.stdout_fd: Stream.STDOUT, child.stderr_fd: Stream.STDERR}
        # What task modules print when they are imported is no run's.
        self._lines = LogLines(loop.time, slot)
        self._pauses: dict[int, asyncio.TimerHandle] = {}
        for fd in self._streams:
            self._listen(fd)
        loop.add_reader(self._records.fileno(), self._hear)

    def close(self) -> None:
        """Read what is there, within reason, and no more; a process that the child left behind may hold its end."""
        for pause in self._pauses.values():
            pause.cancel()
        for _ in range(_MAX_LAST_READS):
            if not self._hear():
                break
        self._read_all()
        for fd in (*self._streams, self._records.fileno()):
            self._loop.remove_reader(fd)
        self._lines.close()

    def _read_all(self) -> None:
        for fd in self._streams:
            for _ in range(_MAX_LAST_READS):
                if not self._read(fd):
                    break

    def _listen(self, fd: int) -> None:
        self._loop.add_reader(fd, self._readable, fd)

    def _readable(self, fd: int) -> None:
        if self._read(fd) == CHUNK:
            # There is as much as there can be, and more to come: others get their turn before it is read.
            self._loop.remove_reader(fd)
            self._pauses[fd] = self._loop.call_later(_PAUSE_S, self._listen, fd)

    def _read(self, fd: int) -> int:
        """Read once; gives how many bytes there were."""
        with self._in_flight.held() as task_id:
            data = read_once(fd)
        if data is None:
            return 0
        if not data:
            self._loop.remove_reader(fd)
        elif task_id is None:
            self._lines.add(data)
        else:
            self._tell(task_id, LogPart(time.time(), self._streams[fd], data))
        return len(data)

    def _hear(self) -> bool:
        """Take what was told; whether there may be more."""
        for _ in range(_MAX_RECORDS):
            try:
                message = self._records.recv(MAX_RECORD_BYTES)
            except BlockingIOError:
                return False
            except OSError:
                message = b""
            if not message:
                self._loop.remove_reader(self._records.fileno())
                return False
            if message.startswith(IS_READ):
                self._read_all()
                with suppress(OSError):  # it is gone, or asks without waiting for the answers
                    self._records.send(READ + message[1:MAX_ANSWER_BYTES])
            else:
                self._take(message)
        return True

    def _take(self, message: bytes) -> None:
        """Tell a record, if it is one, and of a run of this child."""
        task_id, _, text = message.removeprefix(RECORD).partition(b"\n")
        known = self._in_flight.known(task_id.decode(errors="replace"))
        if known is not None and (record := _record(text)) is not None:
            self._tell(known, LogPart(record[0], Stream.LOGGING, record[1]))


def _record(text: bytes) -> tuple[float, bytes] | None:
    """The time and the JSON text of a record; `None` if it is none, since a task may write there what it likes."""
    try:
        record = decode_object(text)
    except Corrupt:
        return None
    at = record.pop("at", None)
    if not isinstance(at, float):
        return None
    is_right = (
        isinstance(record.get("text"), str)
        and isinstance(record.get("level"), str)
        and isinstance(record.get("logger", ""), str)
        and isinstance(record.get("fields", {}), dict)
        and record.keys() <= {"text", "level", "logger", "fields"}
    )
    return (at, json.dumps(record, ensure_ascii=False).encode()) if is_right else None
