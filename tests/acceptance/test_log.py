"""What a task printed and logged, as its reader sees it: over REST, AMQP and by the command; live, and afterwards.

Touches processes, files and a broker.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from support.acceptance import ACCOUNT, NOBODY, TOKEN, Door, House, environment, one_process, two_processes
from support.acceptance_command import command
from support.acceptance_wire import Stranger

MODULE = "support.saying_tasks"


def get(door: Door, task_id: str, query: str = "", **headers: str) -> aiohttp.client._RequestContextManager:
    """A GET of a task's log."""
    url = f"http://127.0.0.1:{door.port}/v2/accounts/{ACCOUNT}/tasks/{task_id}/log{query}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return door.session.get(url, headers={"X-Auth-Token": TOKEN, **named})


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The program, without a broker."""
    given = environment(NOBODY, tmp_path / "data", modules=MODULE, drain_s="0")
    async with one_process(given, "--bus", "memory://") as opened:
        yield opened


async def test_a_log_is_the_text_that_was_printed(house: House) -> None:
    """As bytes would have stood in a terminal; also when it is all on disk and no longer in memory."""
    task_id = await house.door.launch("saying_tasks.say", "zwölf\tBoxkämpfer\n\x1b[31mred")
    await house.door.ended(task_id)
    async with get(house.door, task_id) as answer:
        assert (answer.status, answer.content_type, answer.charset) == (200, "text/plain", "utf-8")
        assert await answer.text() == "zwölf\tBoxkämpfer\n\x1b[31mred\n"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"


async def test_json_lines_tell_time_and_stream(house: House) -> None:
    """One object for each line, and for each record."""
    began = time.time()
    task_id = await house.door.launch("saying_tasks.say_everywhere")
    await house.door.ended(task_id)
    async with get(house.door, task_id, Accept="application/x-ndjson") as answer:
        assert answer.content_type == "application/x-ndjson"
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert all(began <= line["at"] <= time.time() for line in lines)
    assert sorted(line["text"] for line in lines if line["stream"] == "stdout") == [
        "library",
        "program",
        "python",
    ]
    assert [line["text"] for line in lines if line["stream"] == "stderr"] == ["error"]
    assert [line["level"] for line in lines if line["stream"] == "logging"] == ["warning", "info", "error"]


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "body"),
    [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=7-", 206, "bytes 7-9/10", "78\n"),
        ("bytes=-2", 206, "bytes 8-9/10", "8\n"),
        ("bytes=5-99", 206, "bytes 5-9/10", "5678\n"),
        ("bytes=10-", 416, "bytes */10", None),
        ("bytes=nonsense", 416, "bytes */10", None),
    ],
)
async def test_a_part_can_be_asked_for(
    house: House, asked: str, status: int, content_range: str, body: str | None
) -> None:
    """As RFC 9110 has it; what is no such part is refused in words."""
    task_id = await house.door.launch("saying_tasks.say", "012345678")
    await house.door.ended(task_id)
    async with get(house.door, task_id, Range=asked) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)
        if body is not None:
            assert await answer.text() == body
        else:
            assert (await answer.json())["message"] == "invalid_range"


async def test_a_log_is_followed_live(house: House, tmp_path: Path) -> None:
    """Each line within a tenth of a second, and the end with the task's."""
    file = tmp_path / "grows"
    file.write_text("", encoding="ascii")
    task_id = await house.door.launch("saying_tasks.say_and_wait", "line", str(file))
    late = []
    async with get(house.door, task_id, "?follow=true") as answer:
        assert await answer.content.readline() == b"line\n"
        for _ in range(20):
            with file.open("a", encoding="ascii") as growing:
                growing.write("x")
            word, said_at = (await answer.content.readline()).split()
            assert word == b"line"
            late.append(time.time() - float(said_at))
        file.unlink()
        assert await answer.content.read() == b""
    assert (await house.door.task(task_id))["is_terminated"]
    assert sorted(late)[len(late) // 2] < 0.1


async def test_beginning_and_end_are_kept_of_what_is_too_long(house: House) -> None:
    """And what is left out is said, in lines as well as in text."""
    task_id = await house.door.launch("saying_tasks.say_briefly", 5)
    await house.door.ended(task_id)
    task_id = await house.door.launch("saying_tasks.say_much", 5)
    await house.door.ended(task_id)
    async with get(house.door, task_id) as answer:
        text = await answer.text()
    assert 900_000 < len(text) < 1_100_000
    assert text.startswith("0" * 99 + "\n")
    assert text.endswith("9999\n")
    assert "bytes are left out here" in text
    async with get(house.door, task_id, Accept="application/json") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    (left_out,) = [line["left_out"] for line in lines if "left_out" in line]
    kept = sum(len(line["text"]) + 1 for line in lines if "text" in line)
    # The line that is cut at either side of the gap has one end more than was printed.
    assert 5_000_000 <= left_out + kept <= 5_000_002


async def test_a_log_outlives_the_service_and_goes_with_the_task(tmp_path: Path) -> None:
    """Whole after a clean stop; what a killed one had heard a second before; each attempt by itself."""
    given = environment(NOBODY, tmp_path / "data", modules=MODULE, drain_s="0")
    logs = tmp_path / "data" / "logs"
    async with one_process(given, "--bus", "memory://") as house:
        said = await house.door.launch("saying_tasks.say", "kept")
        await house.door.ended(said)
        again = await house.door.launch("saying_tasks.say_each_time", str(tmp_path / "attempt"))
        async with asyncio.timeout(20):
            while len(list(logs.glob("*/*.1"))) < 2:  # noqa: ASYNC110 - files set no asyncio.Event
                await asyncio.sleep(0)
        await house.service.kill()
    async with one_process(given, "--bus", "memory://") as house:
        assert (await house.door.ended(again))["result"] == 2
        for task_id, query, text in (
            (said, "", "kept\n"),
            (again, "?attempt=1", "attempt 1\n"),
            (again, "", "attempt 2\n"),
            (again, "?attempt=7", ""),
        ):
            async with get(house.door, task_id, query) as answer:
                assert await answer.text() == text
        assert await house.service.stop() == 0
        assert {file.name for file in logs.glob("*/*")} == {f"{said}.1", f"{again}.1", f"{again}.2"}
    async with one_process(given, "--bus", "memory://") as house:
        assert (await house.door.ask("DELETE", again)).status == 200
        async with asyncio.timeout(20):
            while {file.name for file in logs.glob("*/*")} != {f"{said}.1"}:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        async with get(house.door, again) as answer:
            assert answer.status == 404


async def test_amqp_and_the_command_tell_the_same(amqp_url: str, tmp_path: Path) -> None:
    """The command with a line for each record; AMQP page by page."""
    given = environment(amqp_url, tmp_path / "data", modules=MODULE, drain_s="0")
    async with two_processes(given) as house:
        task_id = await house.door.launch("saying_tasks.say", "hello")
        await house.door.ended(task_id)
        with Stranger(amqp_url) as stranger:
            reply = (await asyncio.to_thread(stranger.ask, "log_req", Task_ID=task_id)).json["Reply"]
            more = await asyncio.to_thread(stranger.ask, "log_req", Task_ID=task_id, Position=reply["next"])
        (entry,) = reply.pop("entries")
        assert (entry["stream"], entry["text"]) == ("stdout", "hello\n")
        assert reply == {"id": task_id, "attempt": 1, "attempts": 1, "next": 6, "size": 6, "is_over": True}
        assert more.json["Reply"]["entries"] == []
        shown = await command("log", task_id, given=given)
        assert (shown.code, shown.out) == (0, "hello\n")
        shown = await command("log", task_id, "--follow", "--json", given=given)
        assert json.loads(shown.out)["text"] == "hello"
        # What shows that nothing of a task is in the service's own words.
        assert await house.service.stop() == 0
        assert "hello" not in json.dumps([house.service.log, house.service.said])
