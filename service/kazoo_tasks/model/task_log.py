"""What one attempt of a task printed and logged: its beginning and its end, if that is more than is kept.

Pure; filled by core.task_logs, written to disk by store.task_logs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

#: What is said within this time is one part, as long as it is short: a line each would take more room than its words.
_TOGETHER_S: Final = 0.01
_TOGETHER_BYTES: Final = 4096
#: About what a part takes beside its bytes.
_PART_BYTES: Final = 64
#: The bits by which a byte of UTF-8 says that it continues a character, or how many bytes the one has that it begins.
_MARK: Final = 0b1100_0000
_CONTINUES: Final = 0b1000_0000
_BEGINNINGS: Final = ((0b1111_0000, 4), (0b1110_0000, 3), (0b1100_0000, 2), (0, 1))
_LONGEST_CHARACTER: Final = 4


class Stream(StrEnum):
    """Where a part was said."""

    STDOUT = "stdout"
    STDERR = "stderr"
    LOGGING = "logging"


class LogPart(NamedTuple):
    """What was said at a moment.

    Attributes:
        at: Unix time.
        data: Bytes as printed, of whole characters where they are UTF-8; for `logging` the JSON text of one record.
    """

    at: float
    stream: Stream
    data: bytes


class LeftOut(NamedTuple):
    """Where something is missing between two parts, since it was more than is kept."""

    size: int


class KeptLog(NamedTuple):
    """A log as it is kept on disk.

    Attributes:
        size: Of all that was said.
        parts: What is left of it, each with its place.
    """

    size: int
    parts: list[tuple[int, LogPart]]


class LogPage(NamedTuple):
    """Some of a log.

    Attributes:
        next: Where the one after it begins.
        size: Where it would begin if this went to the end.
    """

    parts: list[LogPart | LeftOut]
    next: int
    size: int


class TaskLog:
    """The log of one attempt. A place in it is the number of bytes that were said before, kept or not."""

    def __init__(self, max_bytes: int) -> None:
        """Begin empty, to keep about so many bytes: one half of the beginning, one half of the end."""
        self._half = max_bytes // 2
        self._head: list[tuple[int, LogPart]] = []
        self._tail: deque[tuple[int, LogPart]] = deque()
        self._head_cost = self._tail_cost = 0
        self._is_head_full = False
        self._unfinished: dict[Stream, LogPart] = {}
        self.size = 0

    @classmethod
    def restored(cls, kept: KeptLog) -> TaskLog:
        """The log of which this was kept; to be read only."""
        log = cls(0)
        log._tail.extend(kept.parts)
        log.size = kept.size
        return log

    @property
    def kept(self) -> KeptLog:
        """All of it that is to be kept."""
        return KeptLog(self.size, list(self._parts))

    @property
    def _parts(self) -> Iterator[tuple[int, LogPart]]:
        yield from self._head
        yield from self._tail

    def add(self, part: LogPart) -> None:
        """Take what was said next."""
        if part.stream is not Stream.LOGGING:
            part = self._whole(part)
        if part.data:
            self._put(part)

    def finish(self) -> None:
        """Take it that nothing more is said: the beginning of a character is all there is of it."""
        unfinished, self._unfinished = self._unfinished, {}
        for part in unfinished.values():
            self._put(part)

    def read(self, place: int, max_bytes: int) -> LogPage:
        """What was said from a place on, up to about so many bytes, but one part at least."""
        parts: list[LogPart | LeftOut] = []
        place, room = min(place, self.size), max_bytes
        for start, part in self._parts:
            end = start + len(part.data)
            if end <= place:
                continue
            if room <= 0:
                break
            if start > place:
                parts.append(LeftOut(start - place))
            elif start < place and part.stream is not Stream.LOGGING:
                part = part._replace(data=part.data[place - start :])  # noqa: PLW2901 - the rest of it
            parts.append(part)
            place, room = end, room - len(part.data) - _PART_BYTES
        else:
            if place < self.size:
                parts.append(LeftOut(self.size - place))
                place = self.size
        return LogPage(parts, place, self.size)

    def _whole(self, part: LogPart) -> LogPart:
        """The part without the beginning of a character at its end, and with the one that was held before."""
        held = self._unfinished.pop(part.stream, None)
        data = held.data + part.data if held is not None else part.data
        if begun := _begun(data):
            self._unfinished[part.stream] = part._replace(data=data[-begun:])
            data = data[:-begun]
        return part._replace(data=data)

    def _put(self, part: LogPart) -> None:
        place = self.size
        self.size += len(part.data)
        if not self._is_head_full:
            room = self._half - self._head_cost
            if len(part.data) + _PART_BYTES <= room:
                self._head_cost += _append(self._head, place, part)
                return
            self._is_head_full = True
            if part.stream is not Stream.LOGGING and room > _PART_BYTES:
                cut = _boundary(part.data, room - _PART_BYTES, step=-1)
                self._head_cost += _append(self._head, place, part._replace(data=part.data[:cut]))
                place, part = place + cut, part._replace(data=part.data[cut:])
        if part.data:
            self._tail_cost += _append(self._tail, place, part)
            self._shorten_tail()

    def _shorten_tail(self) -> None:
        while (excess := self._tail_cost - self._half) > 0 and self._tail:
            place, part = self._tail.popleft()
            self._tail_cost -= len(part.data) + _PART_BYTES
            if part.stream is not Stream.LOGGING and excess < len(part.data):
                cut = _boundary(part.data, excess, step=1)
                rest = part._replace(data=part.data[cut:])
                self._tail.appendleft((place + cut, rest))
                self._tail_cost += len(rest.data) + _PART_BYTES
                return


def _append(parts: list[tuple[int, LogPart]] | deque[tuple[int, LogPart]], place: int, part: LogPart) -> int:
    """Put a part at the end, or into the last one; gives what that costs."""
    if parts and part.stream is not Stream.LOGGING:
        before, last = parts[-1]
        is_next = last.stream is part.stream and before + len(last.data) == place
        is_short = len(last.data) + len(part.data) <= _TOGETHER_BYTES
        if is_next and is_short and 0 <= part.at - last.at < _TOGETHER_S:
            parts[-1] = before, last._replace(data=last.data + part.data)
            return len(part.data)
    parts.append((place, part))
    return len(part.data) + _PART_BYTES


def _begun(data: bytes) -> int:
    """How many bytes at the end are the beginning of a UTF-8 character whose rest is missing."""
    for length in range(1, min(_LONGEST_CHARACTER, len(data) + 1)):
        byte = data[-length]
        if byte & _MARK != _CONTINUES:
            return length if _length(byte) > length else 0
    return 0


def _length(first: int) -> int:
    """How many bytes a UTF-8 character has that begins with this one."""
    return next(length for least, length in _BEGINNINGS if first >= least)


def _boundary(data: bytes, at: int, *, step: int) -> int:
    """The place nearest to this one, in that direction, that is in the middle of no UTF-8 character."""
    for place in range(at, at + step * _LONGEST_CHARACTER, step):
        if not 0 < place < len(data) or data[place] & _MARK != _CONTINUES:
            return place
    # It is no UTF-8.
    return at
