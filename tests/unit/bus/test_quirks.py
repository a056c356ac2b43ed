"""No property of a message may cost the connection."""

from __future__ import annotations

import datetime as dt
import logging
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from kazoo_tasks.bus import quirks

TIMESTAMP = 0x40
HEADERS = 0x2000
CONTENT_ENCODING = 0x4000


@pytest.fixture(autouse=True)
def _installed() -> None:
    quirks.install()


def header_frame(flags: int, properties: bytes, size: int = 5) -> bytes:
    """Build the bytes of a content header as a broker sends them."""
    payload = struct.pack(">HHQH", 60, 0, size, flags) + properties
    return struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"


def decoded(data: bytes) -> ContentHeader:
    """Decode a frame as aiormq does."""
    header = frame.unmarshal(data)[2]
    assert isinstance(header, ContentHeader)
    return header


@pytest.mark.parametrize("micros", [63963000000000000, 2**64 - 1, 2**63, 10**18])
def test_a_timestamp_that_is_no_time_is_its_number(micros: int) -> None:
    """As a property and in a header table."""
    eight = micros.to_bytes(8, "big")
    assert decoded(header_frame(TIMESTAMP, eight)).properties.timestamp == micros
    table = b"\x01tT" + eight
    headers = decoded(header_frame(HEADERS, len(table).to_bytes(4, "big") + table)).properties.headers
    assert headers == {"t": micros}


def test_a_real_timestamp_still_is_a_time() -> None:
    """Zero is the epoch."""
    read = decoded(header_frame(TIMESTAMP, bytes(8))).properties.timestamp
    assert read == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def test_installing_again_changes_nothing() -> None:
    """It does not wrap what it has wrapped."""
    before = ContentHeader.unmarshal
    quirks.install()
    assert ContentHeader.unmarshal is before


@given(st.integers(0, 0xFFFE), st.binary(max_size=80))
def test_no_properties_raise(flags: int, properties: bytes) -> None:
    """Whatever they are, the size of the body is read."""
    assert decoded(header_frame(flags & 0xFFFE, properties)).body_size == 5


def test_what_comes_before_a_broken_property_is_kept() -> None:
    """An encoding is known even if a header is of a type that nobody knows."""
    header = decoded(header_frame(CONTENT_ENCODING | HEADERS, b"\x04gzip" + b"\x00\x00\x00\x04\x01tZ\x00"))
    assert header.properties.content_encoding == "gzip"


def test_a_header_without_a_size_is_still_an_error() -> None:
    """Reading on would take what follows for something that it is not."""
    with pytest.raises(Exception, match="ContentHeader"):
        decoded(struct.pack(">BHI", 2, 1, 4) + b"\x00\x3c\x00\x00" + b"\xce")


def test_a_routing_key_need_not_be_text() -> None:
    """Anything can be bound by `tasks.*`."""
    sent = frame.marshal(Basic.Deliver("c", 1, False, "tasks", "tasks.AB"), 1)  # noqa: FBT003 - pamqp's order
    read = frame.unmarshal(sent.replace(b"tasks.AB", b"tasks.\xff\xfe"))[2]
    assert isinstance(read, Basic.Deliver)
    assert read.routing_key == "tasks.\ufffd\ufffd"


@pytest.mark.parametrize(
    ("level", "expected"), [(logging.NOTSET, logging.CRITICAL), (logging.INFO, logging.INFO)]
)
def test_a_log_level_that_somebody_chose_is_left_alone(level: int, expected: int) -> None:
    """Otherwise the libraries are quiet."""
    logger = logging.getLogger("aiormq")
    before = logger.level
    logger.setLevel(level)
    quirks.install()
    assert logger.level == expected
    logger.setLevel(before)
