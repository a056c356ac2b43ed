"""Starts that the settings or the surroundings do not allow: one sentence, an exit code, and nothing left behind.

Touches processes, files, sockets and a broker.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from support.acceptance import NOBODY, environment
from support.acceptance_command import Said, assert_refused, command
from support.disk import may_mount, small_disk, use_up
from support.program import running

MEMORY = "memory://"
BAD_FILES: Final = {
    "pool_sise = 3": "did you mean pool_size?",
    "prefetch = 0": "greater than or equal to 1",
    "prefetch = ": "TOML",
}
#: Task modules, and what is said of each.
USELESS: Final = {
    "imports_nothing": ("import no_such_module", "no_such_module"),
    "divides": ("1 / 0", "ZeroDivisionError"),
    "is_no_python": ("def (:", "SyntaxError"),
    "ends_it_all": ("raise SystemExit(0)", "SystemExit"),
    "offers_nothing": ("x = 1", "got none marked with @kazoo_tasks.task"),
    "waits": (
        "from kazoo_tasks import task\n@task\nasync def wait(): yield",
        "asynchronous generator function",
    ),
}
PROGRAMS: Final = [("service",), ("gateway",), ("run",)]


async def tried(commands: Sequence[tuple[str, ...]], given: dict[str, str]) -> list[Said]:
    """What each of these commands says, given at the same time."""
    return await asyncio.gather(*(command(*words, given=given) for words in commands))


@pytest.fixture
def taken_port() -> Iterator[str]:
    """A port on which somebody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield str(listener.getsockname()[1])


async def test_an_unknown_variable_is_named(tmp_path: Path) -> None:
    """With the one that was probably meant, by every command that reads the settings."""
    given = environment(NOBODY, tmp_path, poolsize="3")
    for said in await tried(PROGRAMS, given) + await tried([("list", "f" * 32), ("snapshot",)], given):
        assert_refused(said, "KAZOO_TASKS_POOLSIZE", "did you mean KAZOO_TASKS_POOL_SIZE?")


async def test_a_bad_settings_file_is_told(tmp_path: Path) -> None:
    """An unknown key, a wrong value, no TOML, no file."""
    files = [tmp_path / f"{number}.toml" for number in range(len(BAD_FILES) + 1)]
    for file, text in zip(files, BAD_FILES, strict=False):
        file.write_text(text)
    commands = [("service", "--config", str(file)) for file in files]
    for said, part in zip(
        await tried(commands, environment(NOBODY, tmp_path)),
        [*BAD_FILES.values(), "No such file"],
        strict=True,
    ):
        assert_refused(said, ".toml", part)


async def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    """Each by the name of its variable, in one sentence."""
    given = environment(NOBODY, tmp_path, pool_size="many", http_port="70000", node="nameless")
    said = await command("run", given=given)
    assert_refused(said, "KAZOO_TASKS_POOL_SIZE", "KAZOO_TASKS_HTTP_PORT", "KAZOO_TASKS_NODE")


async def test_an_unreachable_broker_is_told(tmp_path: Path) -> None:
    """By its address, without user and password, once it was waited for."""
    given = environment("amqp://me:hush@127.0.0.1:1/", tmp_path, broker_wait_s="0.5")
    for said in await tried(PROGRAMS, given):
        assert_refused(
            said, "cannot reach the broker at amqp://127.0.0.1:1/ within 0.5 s", "connection refused"
        )
        assert "hush" not in f"{said}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("guest:guest@", "guest:hush@"), "refuses the user or the password"),
        (("/test-", "/no-such-"), "refuses the virtual host"),
    ],
)
async def test_a_broker_that_refuses_us_is_told(
    amqp_url: str, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    """What it refuses, the password or the virtual host."""
    said = await command("service", given=environment(amqp_url.replace(*change), tmp_path))
    assert_refused(said, "cannot reach the broker", reason)
    assert "hush" not in f"{said}"


@pytest.mark.parametrize("place", ["a file/data", "/proc/kazoo-tasks"])
async def test_a_data_directory_that_cannot_be_written_is_told(tmp_path: Path, place: str) -> None:
    """Below a file, and on a file system that takes nothing, even from root."""
    (tmp_path / "a file").touch()
    given = environment(MEMORY, tmp_path / place)
    assert_refused(await command("run", given=given), f"data directory {tmp_path / place} cannot be used")


@pytest.mark.skipif(not may_mount(), reason="only root may mount a small file system")
@pytest.mark.parametrize(("pages", "reason"), [(0, "No space left on device"), (6, "disk is full")])
async def test_a_full_disk_is_told(tmp_path: Path, pages: int, reason: str) -> None:
    """At the very first start, with no page free or a few; the next one finds nothing in its way."""
    with small_disk(tmp_path / "disk") as disk:
        given = environment(MEMORY, disk / "data")
        use_up(disk / "filler", but_pages=pages)
        assert_refused(await command("run", given=given), str(disk / "data"), reason)
        (disk / "filler").unlink()
        async with running("run", environment=given) as program:
            assert (await program.logged("service.ready"))["epoch"] == 1
            assert await program.stop() == 0


async def test_a_data_directory_in_use_is_told(amqp_url: str, tmp_path: Path) -> None:
    """With the process that has it, which is not disturbed."""
    given = environment(amqp_url, tmp_path / "data")
    async with running("service", environment=given) as first:
        said = await command("service", given=given)
        assert_refused(said, f"{tmp_path / 'data'} is in use by another instance (pid {first.pid})")
        assert await first.stop() == 0


async def test_a_task_module_of_no_use_is_told(tmp_path: Path) -> None:
    """It is not there, cannot be imported, ends the program, or offers nothing that can be run."""
    for name, (text, _) in USELESS.items():
        (tmp_path / f"{name}.py").write_text(text)
    given = {
        name: {**environment(MEMORY, tmp_path / name, modules=name), "PYTHONPATH": str(tmp_path)}
        for name in [*USELESS, "not_there"]
    }
    said = dict(
        zip(
            given, await asyncio.gather(*(command("run", given=each) for each in given.values())), strict=True
        )
    )
    assert_refused(said.pop("not_there"), "not_there", "ModuleNotFoundError")
    for name, (_, reason) in USELESS.items():
        assert_refused(said[name], name, reason)


async def test_a_port_that_is_taken_is_told(amqp_url: str, tmp_path: Path, taken_port: str) -> None:
    """Also when the pool was there already: its processes are gone again."""
    given = environment(amqp_url, tmp_path / "data", http_port=taken_port)
    for said in await tried(PROGRAMS[1:], given):
        assert_refused(said, f"cannot listen on 127.0.0.1:{taken_port}", "in use")


async def test_a_gateway_that_knows_no_tokens_does_not_start(amqp_url: str, tmp_path: Path) -> None:
    """The settings by which it would are named."""
    given = environment(amqp_url, tmp_path / "data", development="false")
    names = ["KAZOO_TASKS_TOKENS_FILE", "KAZOO_TASKS_JWT_ALGORITHM", "KAZOO_TASKS_DEVELOPMENT"]
    for said in await tried(PROGRAMS[1:], given):
        assert_refused(said, "knows no tokens", *names)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what must not be
async def test_development_mode_stays_on_loopback(host: str, tmp_path: Path) -> None:
    """Its token is printed in the README."""
    said = await command("run", given=environment(MEMORY, tmp_path / "data", http_host=host))
    assert_refused(said, "development mode")


async def test_one_process_alone_has_no_bus_in_memory(tmp_path: Path) -> None:
    """Nobody could reach it."""
    for said in await tried(PROGRAMS[:2], environment(MEMORY, tmp_path)):
        assert_refused(said, "kazoo-tasks run")
