"""The child's end of the connection: blocking reads of requests, whole frames written from any thread.

Touches only its two sockets; used by pool.child.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

from kazoo_tasks.pool.frame import RUN, TO_CHILD, Decoder, Kind, Request, encode

_CHUNK = 64 * 1024
#: The service has checked the size of a request before it comes here; this only bounds nonsense.
_CAP = 64 * 1024 * 1024
_MOMENT_MS = 5
#: How a child ends that lost its connection, or that is a copy which a task made by `os.fork` (EX_PROTOCOL).
CONNECTION_LOST = 76


class Channel:
    """One connection, and only for the process that opened it."""

    def __init__(self, connection: socket.socket, tickets: socket.socket) -> None:
        """Take two connected blocking sockets."""
        self._connection = connection
        self._tickets = tickets
        self._poller = select.poll()
        self._poller.register(connection, select.POLLIN)
        self._decoder = Decoder(_CAP, TO_CHILD)
        self._owner = os.getpid()
        # Two threads that report at once must not interleave their bytes.
        self._lock = threading.Lock()

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Write one frame whole; a process that may not, or cannot, ends here."""
        self._only_owner()
        data = encode(kind, payload)
        try:
            with self._lock:
                self._connection.sendall(data)
        except OSError:
            # The function closed our socket or put something else in its place: no word of ours can be trusted.
            os._exit(CONNECTION_LOST)

    def requests(self, is_fit: Callable[[Request | None], bool]) -> Iterator[Request]:
        """Give requests that are to be carried out, each when it is asked for, until the service hangs up.

        Before each is begun `is_fit` is asked with it, and with nothing when none has come for a moment; if not, that
        is the end: what was not begun the service can still take back.
        """
        while (self._is_busy() or is_fit(None)) and (data := self._read(self._connection, _CHUNK)):
            for frame in self._decoder.feed(data):
                request = Request.decode(frame.payload)
                if not is_fit(request):
                    return
                # Several may have come at once; the service can take back what has not been begun.
                if self._read(self._tickets, len(RUN)) == RUN:
                    yield request

    def _is_busy(self) -> bool:
        """Whether something comes within a moment."""
        return bool(self._poller.poll(_MOMENT_MS))

    def _read(self, source: socket.socket, size: int) -> bytes:
        self._only_owner()
        try:
            return source.recv(size)
        except OSError:
            os._exit(CONNECTION_LOST)

    def _only_owner(self) -> None:
        # A task that forks and lets both sides return would answer twice and take the requests of later tasks.
        if os.getpid() != self._owner:
            os._exit(CONNECTION_LOST)
