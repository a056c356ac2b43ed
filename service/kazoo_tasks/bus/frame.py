"""The few frames that are written for each message, packed by hand: they are most of what a message costs us.

Pure; used by Link and Consumer. Everything rarer is left to pamqp, and a test holds these against it byte by byte.
"""

from __future__ import annotations

import struct
from typing import Final

_END: Final = b"\xce"
_FRAME: Final = struct.Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3
#: Bytes around what a frame carries.
OVERHEAD: Final = _FRAME.size + len(_END)

_SETTLE: Final = struct.Struct(">HHQB")
#: Class, method and a reserved number, before exchange and routing key.
_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
#: Class, weight, size of the body, and which properties follow: content type and delivery mode.
_CONTENT: Final = struct.Struct(">HHQH")
_HAS_TYPE_AND_MODE: Final = 0x9000
_TRANSIENT: Final = 1
_JSON: Final = b"application/json"
_PROPERTIES: Final = bytes([len(_JSON)]) + _JSON + bytes([_TRANSIENT])
_CONTENT_SIZE: Final = _CONTENT.size + len(_PROPERTIES)


def publish(channel: int, address: tuple[str, str], body: bytes, frame_max: int) -> bytes:
    """`Basic.Publish` to an exchange and routing key, with the content: transient JSON without headers."""
    exchange, key = address[0].encode(), address[1].encode()
    method = b"%b%c%b%c%b\0" % (_PUBLISH, len(exchange), exchange, len(key), key)
    room = frame_max - OVERHEAD
    pieces = [body] if 0 < len(body) <= room else [body[at : at + room] for at in range(0, len(body), room)]
    frames = [
        _FRAME.pack(_METHOD, channel, len(method)),
        method,
        _END,
        _FRAME.pack(_HEADER, channel, _CONTENT_SIZE),
        _CONTENT.pack(60, 0, len(body), _HAS_TYPE_AND_MODE),
        _PROPERTIES,
        _END,
    ]
    for piece in pieces:
        frames += (_FRAME.pack(_BODY, channel, len(piece)), piece, _END)
    return b"".join(frames)


def ack(channel: int, delivery_tag: int) -> bytes:
    """`Basic.Ack` of one message."""
    return _frame(_METHOD, channel, _SETTLE.pack(60, 80, delivery_tag, 0))


def reject(channel: int, delivery_tag: int, *, requeue: bool) -> bytes:
    """`Basic.Reject` of one message."""
    return _frame(_METHOD, channel, _SETTLE.pack(60, 90, delivery_tag, requeue))


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _FRAME.pack(kind, channel, len(payload)) + payload + _END
