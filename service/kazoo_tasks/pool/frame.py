"""The messages between a slot and its child: four bytes of length, one byte of kind, then bytes; never a pickle.

Pure; used by pool.link on the service's side and by pool.channel in the child.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

_HEADER = struct.Struct(">IB")
_SEPARATOR = b"\n"


class Kind(IntEnum):
    """What a frame says; the first goes to the child, the others come from it."""

    ASSIGN = 1
    READY = 2
    BROKEN = 3
    RESULT = 4
    FAILED = 5
    PROGRESS = 6
    LEAVING = 7
    CHECKPOINT = 8


#: What a child may say; anything else means that its bytes are not to be trusted.
FROM_CHILD = frozenset(Kind) - {Kind.ASSIGN}
TO_CHILD = frozenset({Kind.ASSIGN})

#: The limits that a child keeps to by itself, as `model.limits` names them; the others are watched from outside.
BY_CHILD: Final = ("timeout_s", "cpu_s", "open_files", "file_bytes", "result_bytes")

#: Tickets, one for each ASSIGN, beside the connection: whether the run is to be begun or was taken back.
RUN = b"R"
SKIP = b"S"


class BadFrame(Exception):
    """The bytes are no frame that this side accepts."""


class Frame(NamedTuple):
    """One message."""

    kind: Kind
    payload: bytes


class Request(NamedTuple):
    """What an ASSIGN frame carries; only the arguments may contain a newline.

    Attributes:
        limits: JSON text of those that the child keeps to by itself, or nothing.
        checkpoint: JSON text of what an earlier attempt has kept, or nothing.
    """

    task_id: str
    account_id: str
    module: str
    function: str
    attempt: int
    limits: bytes
    checkpoint: bytes
    arguments: bytes

    def encode(self) -> bytes:
        """Make the whole frame."""
        head = f"{self.task_id}\n{self.account_id}\n{self.module}\n{self.function}\n{self.attempt}\n"
        rest = (self.limits, self.checkpoint, self.arguments)
        return encode(Kind.ASSIGN, b"%b%b\n%b\n%b" % (head.encode(), *rest))

    @classmethod
    def decode(cls, payload: bytes) -> Request:
        """Read the payload of an ASSIGN frame."""
        task_id, account_id, module, function, attempt, *rest = payload.split(_SEPARATOR, 7)
        names = (task_id.decode(), account_id.decode(), module.decode(), function.decode())
        return cls(*names, int(attempt), *rest)


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    """Make one frame."""
    return _HEADER.pack(len(payload), kind) + payload


def tag(task_id: str, payload: bytes) -> bytes:
    """Say which task a payload belongs to, so that a late word about one is never taken for the next."""
    return task_id.encode() + _SEPARATOR + payload


def untag(payload: bytes) -> tuple[str, bytes]:
    """Take apart what `tag` made.

    Raises:
        BadFrame: There is no tag.
    """
    task_id, separator, rest = payload.partition(_SEPARATOR)
    if not separator:
        message = "expected a frame to begin with its task's id, got no newline"
        raise BadFrame(message)
    return task_id.decode(errors="replace"), rest


class Decoder:
    """Bytes in, whole frames out; never holds more than the cap and what was fed last.

    Args:
        cap: Longest payload that is accepted, in bytes.
        kinds: The kinds that are accepted.
    """

    __slots__ = ("_buffer", "_cap", "_kinds")

    def __init__(self, cap: int, kinds: frozenset[Kind]) -> None:
        """Begin between two frames."""
        self._buffer = bytearray()
        self._cap = cap
        self._kinds = {int(kind): kind for kind in kinds}

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what was read and give the frames that are complete now, one by one: `pending` counts what is behind.

        Raises:
            BadFrame: As soon as a header says so, before its payload is collected.
        """
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < _HEADER.size:
            return None
        length, kind = _HEADER.unpack_from(buffer)
        known = self._checked(length, kind)
        end = _HEADER.size + length
        if len(buffer) < end:
            return None
        payload = bytes(memoryview(buffer)[_HEADER.size : end])
        del buffer[:end]
        return Frame(known, payload)

    def _checked(self, length: int, kind: int) -> Kind:
        known = self._kinds.get(kind)
        if known is None:
            message = f"expected a frame of a known kind, got kind {kind}"
            raise BadFrame(message)
        if length > self._cap:
            message = f"expected a frame of at most {self._cap} bytes, got {length}"
            raise BadFrame(message)
        return known
