"""Frames packed by hand are the frames that pamqp packs."""

from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, frame, header
from pamqp.commands import Basic

from kazoo_tasks.bus.frame import OVERHEAD, ack, publish, reject
from kazoo_tasks.bus.topology import EXCHANGES

CHANNELS = st.integers(1, 2**16 - 1)
TAGS = st.integers(0, 2**63 - 1)
FRAME_MAX = 4096


@given(CHANNELS, st.sampled_from(list(EXCHANGES)), st.text(max_size=60), st.integers(0, 3 * FRAME_MAX))
def test_a_publish_is_the_same_bytes(channel: int, exchange: str, key: str, size: int) -> None:
    """Method, header and as many pieces of the body as it takes."""
    content = bytes(size)
    room = FRAME_MAX - OVERHEAD
    properties = Basic.Properties(content_type="application/json", delivery_mode=1)
    frames: list[frame.FrameTypes] = [
        Basic.Publish(exchange=exchange, routing_key=key),
        header.ContentHeader(body_size=size, properties=properties),
        *(body.ContentBody(content[at : at + room]) for at in range(0, size, room)),
    ]

    assert publish(channel, (exchange, key), content, FRAME_MAX) == b"".join(
        frame.marshal(each, channel) for each in frames
    )


@given(CHANNELS, TAGS, st.booleans())
def test_settling_is_the_same_bytes(channel: int, tag: int, requeue: bool) -> None:  # noqa: FBT001 - given by hypothesis
    """Ack and reject."""
    assert ack(channel, tag) == frame.marshal(Basic.Ack(tag), channel)
    assert reject(channel, tag, requeue=requeue) == frame.marshal(Basic.Reject(tag, requeue=requeue), channel)
