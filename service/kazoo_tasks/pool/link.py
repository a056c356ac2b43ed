"""The service's end of a connection to a child: whole frames in, bytes out, and the event loop never waits for it.

Touches only its socket, which the slot owns; used by pool.slot.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

from kazoo_tasks.pool.frame import FROM_CHILD, BadFrame, Decoder, Frame

#: For more at once the C library would ask the system for memory each time, which takes longer than to read.
_CHUNK = 64 * 1024
#: What a dying child may still have in its socket's buffer; a copy of it that goes on writing must not hold us.
_MAX_LAST_READS = 16


class Listener(Protocol):
    """Who hears what a child says; called on the event loop."""

    def heard(self, frame: Frame) -> None:
        """Take a whole frame.

        Raises:
            BadFrame: The child may not say that, or not now.
        """
        ...

    def distrusted(self, why: str) -> None:
        """Learn that the child's bytes make no sense; nothing more is read."""
        ...

    def hung_up(self) -> None:
        """Learn that the child closed its end, or died; nothing more is read."""
        ...


class Link:
    """One connection, registered with the event loop until it is closed or the other end is.

    Args:
        loop: May be uvloop's.
        connection: A connected, non-blocking socket.
        listener: Who hears what comes.
        cap: Longest payload that is read, in bytes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, listener: Listener, cap: int
    ) -> None:
        """Begin to listen."""
        self._loop = loop
        self._connection = connection
        self._fd = connection.fileno()
        self._listener = listener
        self._decoder = Decoder(cap, FROM_CHILD)
        self._unsent = memoryview(b"")
        self._open = True
        loop.add_reader(self._fd, self._read)

    @property
    def is_full(self) -> bool:
        """Whether some of what was sent did not fit into the socket's buffer yet."""
        return bool(self._unsent)

    @property
    def between_frames(self) -> bool:
        """Whether everything that came was whole."""
        return not self._decoder.pending

    def send(self, data: bytes) -> None:
        """Send now what fits into the socket's buffer and the rest when there is room."""
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
        elif self._open:
            self._unsent = memoryview(data)
            self._write()
            if self._unsent:
                self._loop.add_writer(self._fd, self._write_on)

    def drain(self) -> None:
        """Read now what the child has said until now."""
        for _ in range(_MAX_LAST_READS):
            if not self._open or not self._read():
                break

    def close(self) -> None:
        """Listen no more; the socket itself stays open."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    def _write(self) -> None:
        try:
            sent = self._connection.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            # What came before may still be read, so the reader is the one to find out that the child is gone.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]

    def _write_on(self) -> None:
        self._write()
        if not self._unsent:
            self._loop.remove_writer(self._fd)

    def _read(self) -> bool:
        """Read once; tell whether there may be more."""
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            # ECONNRESET: the child's end was closed with something of ours unread in it.
            data = b""
        if data:
            self._decode(data)
        else:
            self.close()
            self._listener.hung_up()
        return bool(data)

    def _decode(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._listener.heard(frame)
        except BadFrame as error:
            self.close()
            self._listener.distrusted(str(error))
