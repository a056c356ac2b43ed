"""A task's log keeps its beginning and its end, whatever is said and however it is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.model.task_log import LeftOut, LogPart, Stream, TaskLog

parts = st.lists(
    st.builds(
        LogPart,
        st.floats(0, 0.05),
        st.sampled_from([Stream.STDOUT, Stream.STDERR]),
        st.one_of(st.binary(min_size=1, max_size=300), st.text(min_size=1, max_size=100).map(str.encode)),
    ),
    max_size=40,
)


def read_all(log: TaskLog, max_bytes: int) -> list[LogPart | LeftOut]:
    """Page by page."""
    found: list[LogPart | LeftOut] = []
    place = 0
    while place < log.size:
        page = log.read(place, max_bytes)
        assert page.next > place
        found += page.parts
        place = page.next
    assert log.read(place, max_bytes) == ([], log.size, log.size)
    return found


def filled(said: list[LogPart], max_bytes: int) -> TaskLog:
    """A log of what was said."""
    log = TaskLog(max_bytes)
    for part in said:
        log.add(part)
    log.finish()
    return log


def of(stream: Stream, found: list[LogPart | LeftOut]) -> bytes:
    """What is there of one stream."""
    return b"".join(part.data for part in found if isinstance(part, LogPart) and part.stream is stream)


@given(parts, st.integers(1, 2_000))
def test_what_fits_is_kept_whole(said: list[LogPart], page: int) -> None:
    """Each stream in its order, whatever the size of the pages."""
    found = read_all(filled(said, 10**6), page)
    assert not [part for part in found if isinstance(part, LeftOut)]
    for stream in (Stream.STDOUT, Stream.STDERR):
        assert of(stream, found) == of(stream, list(said))


@given(parts, st.integers(0, 3_000), st.integers(1, 2_000))
def test_every_byte_is_kept_or_counted(said: list[LogPart], max_bytes: int, page: int) -> None:
    """The log costs no more than it may, and begins and ends as what was said."""
    log = filled(said, max_bytes)
    found = read_all(log, page)
    kept = [part for part in found if isinstance(part, LogPart)]
    missing = sum(part.size for part in found if isinstance(part, LeftOut))
    assert sum(len(part.data) for part in kept) + missing == sum(len(part.data) for part in said) == log.size
    assert sum(len(part.data) + 64 for _, part in log.kept.parts) <= max_bytes + 64
    assert sum(isinstance(part, LeftOut) for part in found) <= 1 + (page < 500)


@given(parts, st.integers(0, 3_000))
def test_a_log_comes_back_from_its_parts(said: list[LogPart], max_bytes: int) -> None:
    """As it is written to disk."""
    log = filled(said, max_bytes)
    assert TaskLog.restored(log.kept).kept == log.kept


@given(st.text(max_size=300), st.lists(st.integers(1, 5), min_size=1))
def test_no_character_is_cut(text: str, cuts: list[int]) -> None:
    """However it was written, and wherever the gap is."""
    data, place = text.encode(), 0
    said: list[LogPart] = []
    while place < len(data):
        step = cuts[len(said) % len(cuts)]
        # Far enough apart that each stays a part of its own.
        said.append(LogPart(float(place), Stream.STDOUT, data[place : place + step]))
        place += step
    for max_bytes in (10**6, 400):
        for _, part in filled(said, max_bytes).kept.parts:
            part.data.decode()


@given(st.lists(st.integers(0, 500), max_size=30), st.integers(0, 3_000))
def test_records_are_kept_whole_or_not_at_all(sizes: list[int], max_bytes: int) -> None:
    """Half of one would be no JSON."""
    said = [LogPart(0.0, Stream.LOGGING, b"{%s}" % (b"x" * size)) for size in sizes]
    found = read_all(filled(said, max_bytes), 100)
    assert all(part.data[:1] + part.data[-1:] == b"{}" for part in found if isinstance(part, LogPart))
