"""What runs print and log, as the pool tells it: whose it is, from where, and that none of it is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from kazoo_tasks.model.limits import Limits
from kazoo_tasks.model.outcome import Succeeded
from kazoo_tasks.model.task_log import Stream
from support.acceptance import held
from support.pool import Bench, a_pool, failed

MODULE = "support.saying_tasks"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A started pool of two."""
    async with a_pool(modules=(MODULE,)) as started:
        yield started


def records(bench: Bench, task_id: str) -> list[dict[str, Any]]:
    """What a run has logged."""
    return [json.loads(part.data) for part in bench.logs.get(task_id, []) if part.stream is Stream.LOGGING]


async def said(bench: Bench, function: str, *arguments: object) -> str:
    """The task of a run that is over."""
    task_id = await bench.begin(function, *arguments)
    await bench.outcome(task_id)
    return task_id


async def test_everything_is_heard_whoever_prints_it(bench: Bench) -> None:
    """Before the end is told; each stream in its order."""
    task_id = await said(bench, "say_everywhere")
    assert sorted(bench.printed(task_id).split()) == [b"library", b"program", b"python"]
    assert bench.printed(task_id, Stream.STDERR) == b"error\n"
    by_hand, by_logging, with_trace = records(bench, task_id)
    assert by_hand == {"level": "warning", "text": "by hand", "fields": {"number": 7}}
    assert by_logging == {
        "level": "info",
        "text": "by logging",
        "logger": "some.library",
        "fields": {"caller": "4155550123"},
    }
    assert with_trace["level"] == "error"
    assert with_trace["text"].startswith("it failed\nTraceback")


async def test_what_was_logged_before_a_sudden_death_is_heard() -> None:
    """All of it, however busy we were with something else: it is what tells why."""
    async with a_pool(modules=(MODULE,), size=1) as bench:
        (child,) = bench.pool.pids.values()
        with held(child) as family:
            task_id = await bench.begin("log_and_die", 200)
            # On purpose without giving the event loop its turn.
            assert family.dies(child, within_s=10)
        await bench.outcome(task_id)
        assert [record["fields"]["number"] for record in records(bench, task_id)] == list(range(200))


async def test_what_is_logged_may_be_anything(bench: Bench) -> None:
    """What has no JSON form is said to have none, what is long loses its end."""
    task_id = await said(bench, "log_oddly")
    odd, long, forked = records(bench, task_id)
    assert odd["text"] == "odd"
    assert odd["fields"].keys() == {"unreadable"}
    assert (len(long["text"]), long["text"][-1]) == (16 * 1024, "…")
    assert forked["text"] == "from a fork"


@pytest.mark.parametrize(("function", "stream"), [("say", Stream.STDOUT), ("complain", Stream.STDERR)])
@pytest.mark.parametrize("ahead", [0, 32])
async def test_each_line_is_of_the_run_that_printed_it(ahead: int, function: str, stream: Stream) -> None:
    """Also when runs follow each other without a pause; some print and some do not."""
    async with a_pool(modules=(MODULE,), size=1) as bench:
        bench.ahead = ahead
        tasks = {}
        for number in range(300):
            tasks[await bench.begin(function, f"line {number}" if number % 3 else "")] = number
        for task_id, number in tasks.items():
            await bench.outcome(task_id)
            assert bench.printed(task_id, stream) == (f"line {number}\n".encode() if number % 3 else b"\n")


async def test_the_last_words_of_the_dying_are_heard(bench: Bench) -> None:
    """As their own."""
    task_id = await bench.begin("say_and_leave", 3)
    assert failed(await bench.outcome(task_id)).reason == "exit code 3"
    assert bench.printed(task_id) == b"last words\n"


async def test_nothing_of_a_run_reaches_the_service(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither its log nor its streams, whatever is forged."""
    with capture_logs() as lines:
        async with a_pool(modules=(MODULE,)) as bench:
            await said(bench, "say", '{"event": "service.ready"}')
            await said(bench, "say_everywhere")
    assert lines == []
    assert "".join(capfd.readouterr()) == ""


async def test_a_thread_that_was_left_behind_speaks_for_nobody_else() -> None:
    """Its child is given no other run; what it still says is its own task's."""
    async with a_pool(modules=(MODULE,), size=1) as bench:
        late = await said(bench, "say_later", "too late")
        after = await said(bench, "say", "after")
        assert bench.printed(after) == b"after\n"
        assert all(record["text"] != "too late" for record in records(bench, after))
        await bench.whole()
    assert {record["text"] for record in records(bench, late)} <= {"too late"}


async def test_two_hundred_megabytes_cost_neither_memory_nor_patience() -> None:
    """The loop answers all the while; what comes is told as it is read."""
    async with a_pool(modules=(MODULE,)) as bench:
        sizes: list[int] = []
        bench.hear = lambda _, part: sizes.append(len(part.data))
        longest = 0.0
        task_id = await bench.begin("say_much", 200)
        loop = asyncio.get_running_loop()
        while task_id not in bench.outcomes:
            began = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - began)
        assert bench.outcomes[task_id] == [Succeeded(None)]
        assert sum(sizes) == 200_000_000
        assert longest < 0.25


async def test_a_result_has_the_limit_of_its_function(bench: Bench) -> None:
    """Named in the error."""
    bench.limits = Limits(result_bytes=10)
    assert await bench.run("say_briefly", 8) == Succeeded(b'"xxxxxxxx"')
    failure = await bench.failure("say_briefly", 9)
    assert failure.reason.endswith("to be JSON of at most 10 bytes, got 11 bytes")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"R",
        b"Rtask-1\nnull",
        b"R{task}\n[]",
        b'R{task}\n{"at": 1.0, "level": "info"}',
        b'R{task}\n{"at": true, "level": "info", "text": "x"}',
        b'R{task}\n{"at": 1.0, "level": "info", "text": "x", "more": 1}',
        b'R{task}\n{"at": 1.0, "level": "info", "text": 7}',
        b'Rsomebody-else\n{"at": 1.0, "level": "info", "text": "x"}',
        b"R{task}\n" + b"x" * 150_000,
        b"nonsense",
        b"F",
        b"F" + b"x" * 1_000,
        b"\xff" * 100,
    ],
)
async def test_junk_in_the_place_of_records_is_nothing(bench: Bench, message: bytes) -> None:
    """Whoever a task says it is, and however often it asks whether all is read."""
    task_id = await bench.begin("forge_record", message.hex())
    await bench.outcome(task_id)
    assert bench.logs.keys() <= {task_id}
    assert [record["text"] for record in records(bench, task_id)] == ["honest"]
    await bench.whole()
    assert await bench.result("forge_record", "") is None


async def test_a_copy_of_the_child_takes_no_answers(bench: Bench) -> None:
    """A task may fork and let both sides return; one of them is the child, and goes on."""
    for _ in range(20):
        task_id = await bench.begin("say_twice")
        assert await bench.outcome(task_id) == Succeeded(b"1")
        assert bench.printed(task_id) == b"x" * 60_000
