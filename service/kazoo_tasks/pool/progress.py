"""Progress of one run on its way to the service: checked, and not more often than is of use.

Pure but for the sender it is given; made by pool.child for each run.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

#: At most one report goes out in this time, so that a tight loop costs the service nothing.
PACE_S = 0.1
MAX_NOTE_BYTES = 1024


class Progress:
    """The newest report of a run; the last one always goes out, and none does after the end.

    Args:
        send: Takes the JSON text of a report.
        clock: Monotonic seconds.
    """

    def __init__(self, send: Callable[[bytes], None], clock: Callable[[], float]) -> None:
        """Begin a run that has reported nothing."""
        self._send = send
        self._clock = clock
        # A function may report from several threads; without the lock an older report could overtake a newer one.
        self._lock = threading.Lock()
        self._held: bytes | None = None
        self._next_at = clock()
        self._over = False

    def report(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Send a report, or hold it until it is time for one.

        Raises:
            ValueError: It is not what a report must be; the function learns it where it made the mistake.
        """
        text = encode(done, total, note)
        with self._lock:
            if self._over:
                return
            self._held = text
            if self._clock() >= self._next_at:
                self._release()

    def finish(self) -> None:
        """Send what is still held; reports of threads that were left behind are dropped from here on."""
        with self._lock:
            self._release()
            self._over = True

    def _release(self) -> None:
        if self._held is not None:
            self._send(self._held)
            self._held = None
            self._next_at = self._clock() + PACE_S


def encode(done: object, total: object = None, note: object = None) -> bytes:
    """Give the JSON text of a report.

    Raises:
        ValueError: A value is none that a report may have.
    """
    report = {"done": _count("done", done)}
    said: dict[str, object] = dict(report)
    if total is not None:
        said["total"] = _count("total", total)
    if note is not None:
        said["note"] = _note(note)
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        message = f"expected {name} to be an integer from 0 to 2**63 - 1, got {value!r:.100}"
        raise ValueError(message)
    return int(value)


def _note(value: object) -> str:
    if not isinstance(value, str) or len(value.encode(errors="replace")) > MAX_NOTE_BYTES:
        message = f"expected note to be text of at most {MAX_NOTE_BYTES} bytes, got {value!r:.100}"
        raise ValueError(message)
    return value.encode(errors="backslashreplace").decode()
