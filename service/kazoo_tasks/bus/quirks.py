"""Keep what a stranger wrote into a message's properties from taking the connection down.

Changes pamqp's decoder and aiormq's loggers, for the whole process; called by AmqpBus when it is opened.

A real Kazoo stamps Gregorian microseconds where seconds are meant. pamqp raises on them, aiormq then drops
the connection, and the durable queue delivers the same message again: for ever. The same holds for any text
that is not UTF-8, and for field types that pamqp does not know.
"""

from __future__ import annotations

import logging
from typing import Final

from pamqp import decode
from pamqp.common import FieldValue
from pamqp.header import ContentHeader

_timestamp: Final = decode.timestamp
_unmarshal: Final = ContentHeader.unmarshal

#: A content header's class, weight and body size, before its properties.
FIXED_BYTES: Final = 12


def install() -> None:
    """Make any timestamp, text and unknown property harmless; doing it again changes nothing."""
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = timestamp
    decode.timestamp = timestamp  # type: ignore[assignment]  # nobody relies on its datetime
    decode.METHODS["shortstr"] = decode.short_str = short_text
    ContentHeader.unmarshal = unmarshal_header  # type: ignore[method-assign, assignment]  # it has no hook
    _quieten("aiormq", "aio_pika")


def timestamp(value: bytes) -> tuple[int, FieldValue]:
    """Decode seconds or milliseconds to a datetime, and whatever is neither to the plain number."""
    try:
        return _timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, int.from_bytes(value[:8], "big")


def short_text(value: bytes) -> tuple[int, str]:
    """Decode a short string, routing keys among them; what is not UTF-8 in it becomes a question mark."""
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")


def unmarshal_header(header: ContentHeader, data: bytes) -> None:
    """Decode a message's size and properties; when they cannot be decoded, the message counts as having none.

    The size comes first and is known by then, so the body is still read as what it is.
    """
    try:
        _unmarshal(header, data)
    except Exception:
        # Whatever it is: raised further it costs the connection, and the message comes again.
        if len(data) < FIXED_BYTES:
            raise


def _quieten(*names: str) -> None:
    # They report each failed attempt at ERROR, with the traceback; the bus says what is lost in one line.
    for logger in map(logging.getLogger, names):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
