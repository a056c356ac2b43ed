"""The operator's way back: a snapshot of what is there, and its return.

Touches processes, files and a broker, through the commands.
"""

from __future__ import annotations

from pathlib import Path

from kazoo_tasks.assembly.clock import SystemClock
from kazoo_tasks.store.sqlite import SqliteJournal
from support.acceptance import NOBODY, House, environment, one_process
from support.acceptance_command import Said, assert_refused, command
from support.program import running

MEMORY = ("--bus", "memory://")


def file_of(said: Said, tasks: int) -> Path:
    """The snapshot that a command says it took, and of how many tasks."""
    assert said.code == 0, said
    path, _, rest = said.out.strip().partition(": ")
    assert rest == f"{tasks} tasks, {Path(path).stat().st_size} bytes"
    return Path(path)


async def finished(house: House, count: int) -> list[bytes]:
    """Have some tasks finished, and give what is seen of all."""
    for _ in range(count):
        await house.door.run("erlang.get_cookie")
    return [(await house.door.ask("GET")).body]


async def test_a_snapshot_is_taken_of_a_running_service(amqp_url: str, tmp_path: Path) -> None:
    """It is asked over the bus, and goes on."""
    given = environment(amqp_url, tmp_path / "data")
    async with one_process(given) as house:
        await finished(house, 2)
        file = file_of(await command("snapshot", given=given), tasks=2)
        assert file.parent == tmp_path / "data" / "snapshots"
        await finished(house, 1)


async def test_a_restore_brings_the_tasks_back(tmp_path: Path) -> None:
    """As they were at the snapshot, byte for byte; and only when the journal that is there may be overwritten."""
    given = environment(NOBODY, tmp_path / "data")
    async with one_process(given, *MEMORY) as house:
        seen = await finished(house, 2)
    file = str(file_of(await command("snapshot", given=given), tasks=2))
    async with one_process(given, *MEMORY) as house:
        await finished(house, 1)
    journal = (tmp_path / "data" / "journal.sqlite3").read_bytes()
    assert_refused(await command("restore", file, given=given), "--force")
    assert (tmp_path / "data" / "journal.sqlite3").read_bytes() == journal
    assert (await command("restore", file, "--force", given=given)).code == 0
    async with one_process(given, *MEMORY) as again:
        assert await finished(again, 0) == seen


async def test_a_snapshot_of_a_stopped_service_is_restored_elsewhere(tmp_path: Path) -> None:
    """As on a new machine: no broker and no force is needed."""
    given, elsewhere = (environment(NOBODY, tmp_path / name) for name in ("data", "elsewhere"))
    async with one_process(given, *MEMORY) as house:
        seen = await finished(house, 2)
    file = file_of(await command("snapshot", given=given), tasks=2)
    assert (await command("restore", str(file), given=elsewhere)).code == 0
    async with one_process(elsewhere, *MEMORY) as again:
        assert await finished(again, 0) == seen


async def test_a_restore_under_a_running_service_is_refused(amqp_url: str, tmp_path: Path) -> None:
    """Whatever is forced: the service has the directory."""
    given = environment(amqp_url, tmp_path / "data")
    async with running("service", environment=given) as service:
        file = str(file_of(await command("snapshot", given=given), tasks=0))
        for force in ([], ["--force"]):
            said = await command("restore", file, *force, given=given)
            assert_refused(said, f"in use by another instance (pid {service.pid})")
        assert await service.stop() == 0


async def test_what_is_no_snapshot_is_not_restored(tmp_path: Path) -> None:
    """One sentence, whatever is forced, and the journal stays as it is."""
    given = environment(NOBODY, tmp_path / "data")
    kept = SqliteJournal(tmp_path / "data", SystemClock())
    await kept.load()
    await kept.close()
    journal = (tmp_path / "data" / "journal.sqlite3").read_bytes()
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    assert_refused(await command("restore", str(tmp_path / "junk"), "--force", given=given), "damaged")
    assert (tmp_path / "data" / "journal.sqlite3").read_bytes() == journal


async def test_a_snapshot_of_nothing_is_refused(tmp_path: Path) -> None:
    """The directory was mistyped, and nothing is made of that."""
    assert_refused(
        await command("snapshot", given=environment(NOBODY, tmp_path / "mistyped")), "journal", "mistyped"
    )
    assert not (tmp_path / "mistyped").exists()
