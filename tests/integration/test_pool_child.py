"""What a child is like, and what its functions may try without hurting anybody else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kazoo_tasks.model.outcome import Failure, Succeeded
from support.pool import Bench, a_pool, failed


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Give a started pool."""
    async with a_pool() as started:
        yield started


async def test_a_child_carries_nothing_of_the_service(bench: Bench) -> None:
    """Only the authors' API, the child's own modules and the task modules are imported."""
    imported = await bench.result("modules")
    assert isinstance(imported, list)
    tops = {
        "aio_pika",
        "aiormq",
        "aiohttp",
        "pydantic",
        "orjson",
        "structlog",
        "asyncio",
        "pytest",
        # Coverage, where it is measured, keeps what it has found in one.
        *(["sqlite3"] if "coverage" not in imported else []),
    }
    rooms = {
        f"kazoo_tasks.{room}" for room in ("bus", "store", "gateway", "wire", "core", "model", "ports", "cli")
    }
    assert {name for name in imported if name.split(".")[0] in tops} == set()
    assert {name for name in imported if ".".join(name.split(".")[:2]) in rooms} == set()
    assert "kazoo_tasks.pool.child" in imported


async def test_a_child_is_settled(bench: Bench) -> None:
    """Own session, signals reset, named, first to go under memory pressure, no descriptor of others."""
    found = await bench.result("surroundings")
    assert isinstance(found, dict)
    assert found["pid"] == found["sid"]
    assert str(found["title"]).startswith("kazoo-tasks child ")
    assert (found["sigint"], found["sigterm"], found["stdin"]) == (True, "Stops._signalled", os.devnull)
    # Its connection, its tickets, what it logs, and the pipe that it dies with; what listed them is closed by now.
    assert [name for name in found["fds"] if name in {"pipe", "socket"}] == [
        "pipe",
        "pipe",
        "socket",
        "socket",
        "socket",
    ]


async def test_two_children_do_not_share_their_chance(bench: Bench) -> None:
    """Random numbers differ though both were forked from one process."""
    tasks = [await bench.begin("chance") for _ in range(2)]
    assert len({await bench.outcome(task_id) for task_id in tasks}) == 2


@pytest.mark.parametrize("size", [65_534, 0])
async def test_a_result_within_the_cap_is_accepted(bench: Bench, size: int) -> None:
    """The cap counts the JSON text, quotes included."""
    assert await bench.result("big", size) == "x" * size


async def test_a_result_over_the_cap_is_an_error(bench: Bench) -> None:
    """What was expected and what came is said."""
    failure = await bench.failure("big", 65_535)
    wanted = "expected the result of tasks_for_pool.big to be JSON of at most 65536 bytes, got 65537 bytes"
    assert (failure.failure, failure.reason) == (Failure.ERROR, wanted)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("bytes", "bytes: return text, for example base64"),
        ("nan", "a float that is not finite: return None or text"),
        ("surrogate", "half of a surrogate pair: return text that is Unicode"),
        ("deep", "more than 240 levels of nesting: return something flatter"),
    ],
)
async def test_a_result_that_is_no_json_is_an_error(bench: Bench, kind: str, words: str) -> None:
    """The child goes on and says what to return instead."""
    before = bench.pool.pids
    failure = await bench.failure("not_json", kind)
    assert failure.reason.startswith(
        f"expected the result of tasks_for_pool.not_json to be JSON of at most 65536 bytes, got {words}"
    )
    assert bench.pool.pids == before


async def test_large_arguments_pass(bench: Bench) -> None:
    """8 MB do not fit any socket buffer and arrive all the same; the loop goes on meanwhile."""
    text = "x" * 8_000_000
    big = await bench.begin("length", text)
    assert await bench.result("add", 1, 2) == 3
    assert await bench.outcome(big) == Succeeded(b"8000000")


async def test_unknown_functions_are_told(bench: Bench) -> None:
    """A name is looked up among what was offered, never imported."""
    failure = await bench.failure("not_offered")
    wanted = (
        "expected tasks_for_pool.not_offered to be a function that a task module offers, got no such function"
    )
    assert (failure.failure, failure.reason) == (Failure.ERROR, wanted)


async def test_an_exception_that_cannot_be_shown_is_told(bench: Bench) -> None:
    """A repr that raises takes nothing along."""
    assert (
        await bench.failure("fail_unspeakably")
    ).reason == "UnspeakableError, whose repr raised RuntimeError"


@pytest.mark.parametrize(
    "text",
    ["garbage", "\0\0\0\0\x02", "\x7f\0\0\0\x04", "\0\0\0\x08\x06task-1\nx", "\0\0\0\x09\x05task-1\n{}"],
)
async def test_garbage_on_the_connection_hurts_only_its_writer(bench: Bench, text: str) -> None:
    """An unknown kind, a second READY, a frame over the cap and a false report all end the child and its run."""
    failure = await bench.failure("write_garbage", text)
    assert failure.failure is Failure.KILLED
    assert failure.reason.startswith("signal 9 (SIGKILL), by the pool: expected ")
    assert await bench.result("add", 1, 2) == 3
    await bench.whole()


async def test_a_false_word_about_another_run_is_dropped(bench: Bench) -> None:
    """Nobody can answer for a task that is not his."""
    other = await bench.begin("sleep", 0.1)
    assert await bench.result("pretend", other) == 1
    assert await bench.outcome(other) != Succeeded(b"666")


async def test_writing_on_after_the_answer_ends_the_child() -> None:
    """Bytes behind an answer would be taken for the next one, so the next run gets another child."""
    async with a_pool(size=1) as bench:
        before = bench.pool.pids
        said = "task-1\n7"
        frame = "\0\0\0" + chr(len(said)) + "\x04" + said
        assert await bench.run("write_garbage", frame + "\0\0") == Succeeded(b"7")
        assert await bench.result("add", 1, 2) == 3
        assert bench.pool.pids != before


async def test_closing_the_connection_hurts_only_its_own_run(bench: Bench) -> None:
    """A child that cannot answer ends."""
    failure = await bench.failure("close_connection", False)  # noqa: FBT003 - it goes out as JSON
    assert failure.reason == "exit code 76 (its connection to the service was lost)"
    await bench.whole()


async def test_a_child_that_hangs_up_and_stays_is_killed(bench: Bench) -> None:
    """Its answer can never come."""
    failure = await bench.failure("close_connection", True)  # noqa: FBT003 - it goes out as JSON
    assert failure.reason == "signal 9 (SIGKILL), by the pool: it had closed its connection to the service"
    await bench.whole()


async def test_a_task_that_forks_and_returns_answers_once(bench: Bench) -> None:
    """The copy may neither answer nor take the requests of later tasks."""
    pids = set(bench.pool.pids.values())
    for _ in range(10):
        assert await bench.result("fork_and_return") in pids
    assert all(len(told) == 1 for told in bench.outcomes.values())


async def test_what_a_module_prints_when_it_is_imported_goes_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is imported once, by the fork server, whose slot is 0; what the interpreter says of it as well."""
    (tmp_path / "talking_for_pool.py").write_text(
        "import sys; print('hello'); print('warned', file=sys.stderr)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with capture_logs() as lines:
        async with a_pool(modules=("talking_for_pool",)):
            pass
    told = [(line["slot"], line["text"]) for line in lines if line["event"] == "pool.output"]
    assert sorted(told) == [(0, "hello"), (0, "warned")]


async def test_a_module_that_prints_without_end_fills_neither_log_nor_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first lines of each second are told, the others counted."""
    (tmp_path / "chatting_for_pool.py").write_text("print('a line\\n' * 1_000_000)")
    monkeypatch.syspath_prepend(tmp_path)
    with capture_logs() as lines:
        async with a_pool(modules=("chatting_for_pool",)):
            pass
    told = [line for line in lines if line["event"] == "pool.output"]
    dropped = sum(line["lines"] for line in lines if line["event"] == "pool.output_dropped")
    assert len(told) < 500
    assert len(told) + dropped > 999_000


def _open_at(fd: int) -> str:
    return str(Path(f"/proc/self/fd/{fd}").readlink())


async def test_what_a_task_does_to_its_descriptors_does_not_reach_the_service(bench: Bench) -> None:
    """They are open files of its own: a flag would be the service's as well."""
    before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (0, 1, 2)]
    assert await bench.result("set_non_blocking", [0, 1, 2]) == "done"
    assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (0, 1, 2)] == before
    ours = {_open_at(fd) for fd in (0, 1, 2)} - {os.devnull}
    assert not ours & set(await bench.result("descriptors"))  # type: ignore[call-overload]  # a list of texts


async def test_a_task_may_close_its_output(bench: Bench) -> None:
    """The child does not need it."""
    assert await bench.run("close_output") == Succeeded(None)
    assert await bench.run("nothing") == Succeeded(None)


async def test_progress_is_throttled(bench: Bench) -> None:
    """A tight loop sends a few reports a second, the last included."""
    await bench.run("count", 20_000)
    assert 2 <= len(bench.progress) < 50
    assert bench.progress[-1]["done"] == 20_000


async def test_progress_may_come_from_a_thread(bench: Bench) -> None:
    """A thread that runs in the task's context reports for it."""
    await bench.run("count_from_thread", 7)
    assert bench.progress == [{"done": 7}]


async def test_bad_progress_fails_where_it_is_made(bench: Bench) -> None:
    """The author learns what a report must be."""
    failure = await bench.failure("report_badly")
    assert failure.reason.startswith("ValueError('expected done to be an integer from 0")
    assert "report_progress(-1)" in failure.trace


async def test_a_stop_that_meets_an_answer_keeps_the_answer(bench: Bench, tmp_path: Path) -> None:
    """A function that returns because of SIGTERM did return."""
    task_id = await bench.begin("return_on_sigterm", str(tmp_path / "pid"))
    while not (tmp_path / "pid").exists():
        await bench.run("nothing")
    bench.pool.stop(task_id)
    assert await bench.outcome(task_id) == Succeeded(b'"in time"')
    await bench.whole()


async def test_a_stop_that_meets_an_exception_is_a_stop(bench: Bench, tmp_path: Path) -> None:
    """What a function raises because of SIGTERM is how it stopped."""
    task_id = await bench.begin("raise_on_sigterm", str(tmp_path / "pid"))
    while not (tmp_path / "pid").exists():
        await bench.run("nothing")
    bench.pool.stop(task_id)
    failure = failed(await bench.outcome(task_id))
    assert (failure.failure, failure.reason) == (Failure.STOPPED, "stopped on request, exit code 5")
    await bench.whole()
