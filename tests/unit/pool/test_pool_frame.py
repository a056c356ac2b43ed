"""Frames come out as they went in, however the bytes were cut, and nonsense is refused early."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.pool.frame import (
    FROM_CHILD,
    TO_CHILD,
    BadFrame,
    Decoder,
    Frame,
    Kind,
    Request,
    encode,
    tag,
    untag,
)

_FRAMES = st.lists(st.tuples(st.sampled_from(sorted(FROM_CHILD)), st.binary(max_size=50)), max_size=5)


@given(_FRAMES, st.integers(1, 40))
def test_frames_survive_any_cut(frames: list[tuple[Kind, bytes]], step: int) -> None:
    """Reads of any size give the same frames."""
    stream = b"".join(encode(kind, payload) for kind, payload in frames)
    decoder = Decoder(50, FROM_CHILD)
    read = [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])]
    assert read == [Frame(kind, payload) for kind, payload in frames]
    assert decoder.pending == 0


@given(st.binary(max_size=300))
def test_any_bytes_give_frames_or_a_refusal(data: bytes) -> None:
    """Nothing else is ever raised, and no frame is over the cap."""
    with contextlib.suppress(BadFrame):
        assert all(len(frame.payload) <= 20 for frame in Decoder(20, FROM_CHILD).feed(data))


def test_a_frame_over_the_cap_is_refused_by_its_header() -> None:
    """The payload is not waited for."""
    with pytest.raises(BadFrame, match="at most 10 bytes, got 11"):
        list(Decoder(10, FROM_CHILD).feed(encode(Kind.RESULT, b"x" * 11)[:5]))


def test_a_whole_frame_before_nonsense_is_read() -> None:
    """An answer counts though its writer went mad afterwards."""
    frames = Decoder(10, FROM_CHILD).feed(encode(Kind.RESULT, b"1") + b"\0\0\0\0\xff")
    assert next(frames) == Frame(Kind.RESULT, b"1")
    with pytest.raises(BadFrame, match="got kind 255"):
        next(frames)


@given(st.binary(), st.integers(1, 99))
def test_a_request_survives(arguments: bytes, attempt: int) -> None:
    """Arguments may hold newlines."""
    request = Request("id", "account", "timer", "sleep", attempt, b"{}", b"[1]", arguments)
    (frame,) = Decoder(1000, TO_CHILD).feed(request.encode())
    assert Request.decode(frame.payload) == request


def test_a_tag_is_needed() -> None:
    """A word about no task is no word."""
    assert untag(tag("id", b"a\nb")) == ("id", b"a\nb")
    with pytest.raises(BadFrame, match="expected a frame to begin with its task's id"):
        untag(b"nothing")
