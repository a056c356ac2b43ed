"""Task modules loaded anew while the service goes on: by SIGHUP, over AMQP and by the command.

Touches processes, files and a broker.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.acceptance import (
    NOBODY,
    House,
    environment,
    held,
    one_process,
    two_processes,
)
from support.acceptance_command import command
from support.acceptance_wire import Stranger
from support.pool import descendants, until
from support.program import start

FIRST = """\
import pathlib, time
from changing_helper import WORD
from kazoo_tasks import task

@task
def word():
    return "first " + WORD

@task
def wait(mark: str, until: str):
    pathlib.Path(mark).write_text("it runs")
    while not pathlib.Path(until).exists():
        time.sleep(0.01)
    return "first " + WORD

@task(idempotent=True)
def leaving(number: int):
    return number
"""
SECOND = """\
from changing_helper import WORD
from kazoo_tasks import task

@task
def word():
    return "second " + WORD

@task
def more(number: int):
    return number + 1
"""


class Source:
    """The module and what it imports, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, module: str, helper: str) -> None:
        """Have them be this."""
        (self._folder / "changing.py").write_text(module)
        (self._folder / "changing_helper.py").write_text(f"WORD = {helper!r}\n")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """The first code."""
    written = Source(tmp_path)
    written.write(FIRST, "helper")
    return written


@asynccontextmanager
async def house_of(tmp_path: Path, **more: str) -> AsyncIterator[House]:
    """A program with the changing module, without a broker."""
    given = environment(NOBODY, tmp_path / "data", modules="changing", drain_s="0", **more)
    given["PYTHONPATH"] += f":{tmp_path}"
    async with one_process(given, "--bus", "memory://") as house:
        yield house


async def appears(path: Path) -> None:
    """Wait for a file."""
    await until(path.exists)


def fork_servers(house: House) -> int:
    """How many there are."""
    return sum("kazoo-tasks fork server" in command for command in descendants(house.service.pid).values())


async def test_new_runs_have_new_code_and_old_ones_end_as_they_began(tmp_path: Path, source: Source) -> None:
    """All of it at once: functions that come and go, what they import, and the catalogue."""
    async with house_of(tmp_path, pool_size="2") as house:
        door = house.door
        assert (await door.run("changing.word"))["result"] == "first helper"
        runs = await door.launch("changing.wait", str(tmp_path / "mark"), str(tmp_path / "until"))
        await appears(tmp_path / "mark")
        version = (await door.explained(runs))["version"]
        source.write(SECOND, "changed")
        house.service.signal(signal.SIGHUP)
        told = await house.service.logged("service.reloaded")
        assert told["versions"]["changing"] != version
        assert (await door.run("changing.word"))["result"] == "second changed"
        assert (await door.run("changing.more", 1))["result"] == 2
        answer = await door.ask(
            "PUT", data={"module": "changing", "function": "wait", "arguments": ["a", "b"]}
        )
        assert answer.fault == (404, "bad_identifier")
        (tmp_path / "until").touch()
        assert (await door.ended(runs))["result"] == "first helper"
        # Two while an old child lives, and one when it has gone.
        await until(lambda: fork_servers(house) == 1)
        assert (await door.run("changing.word"))["result"] == "second changed"
        assert not [line for line in house.service.log if line["event"] == "pool.child_died"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "a child ended before it was ready"),
        ("x = 1", "expected changing to offer tasks, got none"),
        ("from kazoo_tasks import task\n@task\ndef odd(x: bytes): ...\n", "bytes"),
    ],
)
async def test_what_cannot_be_loaded_changes_nothing(
    tmp_path: Path, source: Source, code: str, reason: str
) -> None:
    """And says which module, and why; what is mended is loaded."""
    async with house_of(tmp_path) as house:
        source.write(code, "helper")
        house.service.signal(signal.SIGHUP)
        told = await house.service.logged("service.not_reloaded")
        assert reason in told["reason"]
        assert (await house.door.run("changing.word"))["result"] == "first helper"
        source.write(SECOND, "helper")
        house.service.signal(signal.SIGHUP)
        await house.service.logged("service.reloaded")
        assert (await house.door.run("changing.word"))["result"] == "second helper"


async def test_what_waits_for_a_function_that_goes_is_parked_until_it_is_back(
    tmp_path: Path, source: Source
) -> None:
    """As at a start."""
    async with house_of(tmp_path, pool_size="1") as house:
        door = house.door
        runs = await door.launch("changing.wait", str(tmp_path / "mark"), str(tmp_path / "until"))
        await appears(tmp_path / "mark")
        waits = await door.launch("changing.leaving", 7)
        source.write(SECOND, "helper")
        house.service.signal(signal.SIGHUP)
        await house.service.logged("service.reloaded")
        assert (await door.explained(waits))["waits_for"] == "changing.leaving is no longer offered"
        (tmp_path / "until").touch()
        await door.ended(runs)
        assert (await door.run("changing.word"))["result"] == "second helper"
        source.write(FIRST, "helper")
        house.service.signal(signal.SIGHUP)
        await house.service.logged("service.reloaded", 2)
        assert (await door.ended(waits))["result"] == 7


async def test_the_operator_is_told_over_amqp_and_by_the_command(
    amqp_url: str, tmp_path: Path, source: Source
) -> None:
    """The versions, or why not; the version of a task's code is kept with it."""
    given = environment(amqp_url, tmp_path / "data", modules="changing", drain_s="0", pool_size="1")
    given["PYTHONPATH"] += f":{tmp_path}"
    async with two_processes(given) as house:
        with Stranger(amqp_url) as stranger:
            versions = stranger.ask("reload_req").json["Reply"]
            source.write("import nowhere", "helper")
            refused = stranger.ask("reload_req").json
        assert versions.keys() == {"changing"}
        assert refused["Reply"] == "cannot_reload"
        assert "No module named 'nowhere'" in refused["Error"]["reason"]
        said = await command("reload", given=given)
        assert (said.code, "No module named 'nowhere'" in said.sentences[0]) == (1, True)
        source.write(FIRST, "helper")
        said = await command("reload", given=given)
        assert (said.code, said.out.split()) == (0, ["changing", versions["changing"]])
        runs = await house.door.launch("changing.wait", str(tmp_path / "mark"), str(tmp_path / "never"))
        await appears(tmp_path / "mark")
        assert (await house.door.explained(runs))["version"] == versions["changing"]
        assert await house.service.stop() == 0


async def test_a_stop_waits_for_no_module_that_never_comes_to_an_end(tmp_path: Path, source: Source) -> None:
    """It is given up, and nothing of it is left."""
    async with house_of(tmp_path) as house:
        mark = tmp_path / "mark"
        source.write(
            f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(600)\n", "helper"
        )
        house.service.signal(signal.SIGHUP)
        await appears(mark)
        with held(house.service.pid) as family:
            async with asyncio.timeout(8):
                assert await house.service.stop() == 0
            assert family.survivors(within_s=5) == []
        assert (await house.service.logged("service.not_reloaded"))["reason"]


async def test_a_terminal_that_goes_ends_the_program(tmp_path: Path, source: Source) -> None:
    """In good order, as by SIGTERM: nobody sees it any more."""
    given = environment(NOBODY, tmp_path / "data", modules="changing", drain_s="0")
    given["PYTHONPATH"] += f":{tmp_path}"
    controlling, terminal = os.openpty()
    # What ignores it, as under nohup, hands that down.
    handled = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        program = await start("run", "--bus", "memory://", environment=given, stdin=terminal)
        await program.port()
        program.signal(signal.SIGHUP)
        assert await program.ended() == 0
        assert await program.logged("service.stopped")
        assert not [line for line in program.log if line["event"] == "service.reloaded"]
    finally:
        signal.signal(signal.SIGHUP, handled)
        os.close(controlling)
        os.close(terminal)
