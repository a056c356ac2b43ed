"""The few frames that are written for each message, packed by hand: they are most of what a message costs us.

Pure; used by Link and Consumer. Everything rarer is left to pamqp, and a test holds these against it byte by byte.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

_END: Final = b"\xce"
_FRAME: Final = struct.Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3
#: Bytes around what a frame carries.
OVERHEAD: Final = _FRAME.size + len(_END)

_SETTLE: Final = struct.Struct(">HHQB")
#: Class, method and a reserved number, before exchange and routing key.
_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
#: Neither mandatory nor immediate.
_NO_BITS: Final = b"\0"
#: Class and weight before the size of the body; behind it which properties follow, content type and delivery mode.
_CONTENT: Final = struct.pack(">HH", 60, 0)
_BODY_SIZE: Final = struct.Struct(">Q")
_HAS_TYPE_AND_MODE: Final = struct.pack(">H", 0x9000)
_JSON: Final = b"application/json"
_TRANSIENT: Final = 1
_PROPERTIES: Final = _HAS_TYPE_AND_MODE + bytes([len(_JSON)]) + _JSON + bytes([_TRANSIENT])


def publish(channel: int, address: tuple[str, str], body: bytes, frame_max: int) -> bytes:
    """`Basic.Publish` to an exchange and routing key, with the content: transient JSON without headers."""
    exchange, key = address[0], address[1].encode()
    size = len(body)
    head = _before_key(channel, exchange, len(key)), key, _before_size(channel), _BODY_SIZE.pack(size)
    if 0 < size <= frame_max - OVERHEAD:
        return b"".join((*head, _PROPERTIES, _END, _FRAME.pack(_BODY, channel, size), body, _END))
    room = frame_max - OVERHEAD
    pieces = [_frame(_BODY, channel, body[at : at + room]) for at in range(0, size, room)]
    return b"".join((*head, _PROPERTIES, _END, *pieces))


@lru_cache
def _before_key(channel: int, exchange: str, key_size: int) -> bytes:
    """The method's frame up to the routing key."""
    name = exchange.encode()
    fields = b"%b%c%b%c" % (_PUBLISH, len(name), name, key_size)
    return _FRAME.pack(_METHOD, channel, len(fields) + key_size + len(_NO_BITS)) + fields


@lru_cache
def _before_size(channel: int) -> bytes:
    """What follows the routing key, up to the size of the body in the content's header."""
    size = len(_CONTENT) + _BODY_SIZE.size + len(_PROPERTIES)
    return _NO_BITS + _END + _FRAME.pack(_HEADER, channel, size) + _CONTENT


def ack(channel: int, delivery_tag: int) -> bytes:
    """`Basic.Ack` of one message."""
    return _frame(_METHOD, channel, _SETTLE.pack(60, 80, delivery_tag, 0))


def reject(channel: int, delivery_tag: int, *, requeue: bool) -> bytes:
    """`Basic.Reject` of one message."""
    return _frame(_METHOD, channel, _SETTLE.pack(60, 90, delivery_tag, requeue))


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _FRAME.pack(kind, channel, len(payload)) + payload + _END
