"""A task's log as entries, as text for people and as JSON lines; and how it is read page by page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from kazoo_tasks.model.task_log import LeftOut, LogPart, Stream
from kazoo_tasks.wire.log_reader import log_pages
from kazoo_tasks.wire.task_log import Lines, entry, plain


def printed(text: str, stream: str = "stdout", at: float = 1.0) -> dict[str, Any]:
    """An entry of something that was printed."""
    return {"at": at, "stream": stream, "text": text}


def test_parts_become_entries() -> None:
    """What is no UTF-8 is written with backslashes."""
    assert entry(LogPart(1.23456789, Stream.STDERR, b"a\xffb")) == printed("a\\xffb", "stderr", 1.234568)
    record = LogPart(2.0, Stream.LOGGING, b'{"level":"info","text":"x","fields":{"a":1}}')
    assert entry(record) == {"at": 2.0, "stream": "logging", "level": "info", "text": "x", "fields": {"a": 1}}
    assert entry(LeftOut(7)) == {"left_out": 7}


def test_entries_become_text() -> None:
    """As a terminal has it; records and gaps are lines."""
    fields = {"caller": "415", "note": "two words", "number": 7, "empty": ""}
    record = {"at": 0.5, "stream": "logging", "level": "info", "logger": "a.b", "text": "x", "fields": fields}
    assert plain([printed("one\ntw"), printed("o\n"), {"left_out": 1234}, record]) == (
        "one\ntwo\n\n[… 1,234 bytes are left out here …]\n"
        '1970-01-01T00:00:00.500Z info a.b: x caller=415 note="two words" number=7 empty=""\n'
    )


def test_entries_become_lines() -> None:
    """Each with the time at which it began, whatever came between from another stream."""
    lines = Lines()
    text = lines.add([printed("one\ntw", at=1.0), printed("err", "stderr", 2.0), printed("o\nthree", at=3.0)])
    text += lines.add([{"left_out": 5}, printed("four\n", at=4.0), printed("end", at=5.0)])
    text += lines.finish()
    assert [json.loads(line) for line in text.splitlines()] == [
        printed("one", at=1.0),
        printed("two", at=1.0),
        printed("err", "stderr", 2.0),
        printed("three", at=3.0),
        {"left_out": 5},
        printed("four", at=4.0),
        printed("end", at=5.0),
    ]
    assert lines.finish() == ""


def test_a_line_without_end_is_told_all_the_same() -> None:
    """Nothing is held for ever."""
    assert json.loads(Lines().add([printed("x" * 100_000)]))["text"] == "x" * 100_000


class Service:
    """Answers `log_req` as it is told to, and keeps what was asked."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[Mapping[str, object]] = []

    async def __call__(self, fields: Mapping[str, object]) -> Mapping[str, Any]:
        self.asked.append(fields)
        return self.pages.pop(0)


def page(place: int, size: int, attempt: int = 1, attempts: int = 1, **more: object) -> dict[str, Any]:
    """A page that ends at a place."""
    given = {"entries": ["something"], "is_over": False, **more}
    return {"next": place, "size": size, "attempt": attempt, "attempts": attempts, **given}


async def read(service: Service, attempt: int | None, follow_s: float | None = None) -> int:
    """How many pages there were."""
    return len([each async for each in log_pages(service, attempt, follow_s)])


async def test_a_log_is_read_to_its_end() -> None:
    """As far as it is by then, without waiting."""
    service = Service(page(5, 9), page(9, 9))
    assert await read(service, None) == 2
    assert service.asked == [{"Position": 0, "Wait-MS": 0}, {"Position": 5, "Wait-MS": 0}]


async def test_a_log_is_followed_to_its_end_and_over_an_interruption() -> None:
    """The attempt after it is read from its beginning."""
    service = Service(
        page(0, 0, attempt=0, attempts=0, entries=[]),
        page(4, 4),
        page(6, 6, is_over=True, attempts=2),
        page(3, 3, attempt=2, attempts=2, is_over=True),
    )
    assert await read(service, None, 2.0) == 4
    assert service.asked[1:] == [
        {"Position": 0, "Wait-MS": 1_000},
        {"Position": 4, "Wait-MS": 1_000, "Attempt": 1},
        {"Position": 0, "Wait-MS": 1_000, "Attempt": 2},
    ]


@pytest.mark.parametrize("follow_s", [None, 2.0])
async def test_an_attempt_that_was_named_is_the_only_one(follow_s: float | None) -> None:
    """Whatever came after it."""
    service = Service(page(4, 4, is_over=True, attempts=3))
    assert await read(service, 1, follow_s) == 1
    assert service.asked == [{"Position": 0, "Wait-MS": 0, "Attempt": 1}]


async def test_who_waits_less_for_replies_has_the_service_wait_less() -> None:
    """Its answer comes in time."""
    service = Service(page(4, 4), page(4, 4, is_over=True))
    assert await read(service, None, 0.5) == 2
    assert service.asked[1]["Wait-MS"] == 250
