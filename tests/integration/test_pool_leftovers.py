"""What a run has started ends with it, even a daemon: in another session, without a parent, deaf to SIGTERM."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kazoo_tasks.model.task_log import Stream
from kazoo_tasks.pool import cgroup, descendants, proc
from support.control_group import a_group
from support.pool import Bench, a_pool, all_written, await_death

WAYS = ["stopped", "died", "ended", "closed"]


async def _left_by(bench: Bench, way: str, file: Path) -> list[int]:
    """The processes that a run had started, when its child is there for others again."""
    function = {"died": "daemonize_and_die", "ended": "daemonize"}.get(way, "daemonize_and_wait")
    task_id = await bench.begin(function, str(file))
    pids = await all_written(file)
    if way == "closed":
        await bench.pool.close()
        return pids
    if way == "stopped":
        bench.pool.stop(task_id)
    await bench.outcome(task_id)
    await bench.whole()
    return pids


@pytest.mark.parametrize("way", WAYS)
async def test_a_daemon_ends_with_its_run(tmp_path: Path, way: str) -> None:
    """However the run ends; both processes."""
    async with a_pool(size=1, stop_grace_s=0.2) as bench:
        pids = await _left_by(bench, way, tmp_path / "pids")
        assert len(pids) == 2
        assert await_death(pids, within_s=2) == []


async def test_the_daemon_of_one_child_is_none_of_another(tmp_path: Path) -> None:
    """What dies with one child leaves the other's alone."""
    async with a_pool(size=2) as bench:
        await bench.begin("daemonize_and_wait", str(tmp_path / "kept"))
        kept = await all_written(tmp_path / "kept")
        dying = await bench.begin("daemonize_and_die", str(tmp_path / "left"))
        left = await all_written(tmp_path / "left")
        await bench.outcome(dying)
        assert await_death(left, within_s=2) == []
        assert await_death(kept, within_s=0) == kept
    assert await_death(kept, within_s=2) == []


async def test_its_author_is_told(tmp_path: Path) -> None:
    """Where what the function prints is."""
    async with a_pool(size=1) as bench:
        task_id = await bench.begin("daemonize", str(tmp_path / "pids"))
        async with asyncio.timeout(20), bench.changed:
            await bench.changed.wait_for(lambda: bench.printed(task_id, Stream.STDERR))
        said = b"ended 1 process that a run had left behind\n"
        assert bench.printed(task_id, Stream.STDERR) == said


def test_without_lists_of_children_all_processes_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel may be built without them."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        listed = descendants.children()
        monkeypatch.setattr(proc, "_HAS_LISTS", not proc._HAS_LISTS)
        assert child.pid in listed
        assert descendants.children() == listed
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group, as systemd delegates one."""
    with a_group() as place:
        if place is None:
            pytest.skip("needs a writable cgroup v2 and root")
        yield place


IN_GROUP = """\
import asyncio, os, sys
from pathlib import Path
group, file = map(Path, sys.argv[1:])
(group / "cgroup.procs").write_text("0")
from support.pool import a_pool, all_written, await_death

async def main():
    async with a_pool(size=1, stop_grace_s=0.2) as bench:
        task_id = await bench.begin("daemonize_and_wait", str(file))
        pids = await all_written(file)
        (child,) = bench.pool.pids.values()
        own, group_of = (Path(f"/proc/{pid}/cgroup").read_text() for pid in ("self", pids[1]))
        assert f"/{child}\\n" in group_of, group_of
        bench.pool.stop(task_id)
        await bench.outcome(task_id)
        await bench.whole()
        assert await_death(pids, within_s=2) == []
        homes = [path for path in group.iterdir() if path.is_dir()]
        assert [path.name for home in homes for path in home.iterdir() if path.is_dir()] == [
            str(pid) for pid in bench.pool.pids.values()
        ]

asyncio.run(main())
"""


def test_where_control_groups_are_delegated_each_child_has_one(group: Path, tmp_path: Path) -> None:
    """With all that it starts, and none is left when the pool is closed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", IN_GROUP, str(group), str(tmp_path / "pids")]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert not [path for path in group.iterdir() if path.is_dir()]


def _says(monkeypatch: pytest.MonkeyPatch, folder: Path, mounts: str) -> Path | None:
    (folder / "own").write_text("1:cpu:/\n0::/unit/service\n")
    (folder / "mounts").write_text(mounts)
    monkeypatch.setattr(cgroup, "_OWN", folder / "own")
    monkeypatch.setattr(cgroup, "_MOUNTS", folder / "mounts")
    return cgroup.delegated()


def test_what_is_not_delegated_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cgroup v2, its root, which has no `cgroup.kill`, and then one that has; only a part of it is mounted here."""
    mount = f"41 31 0:38 /unit {tmp_path}/there rw,relatime - cgroup2 cgroup2 rw\n"
    own = tmp_path / "there" / "service"
    own.mkdir(parents=True)
    (own / "cgroup.procs").touch()
    assert _says(monkeypatch, tmp_path, "") is None
    assert _says(monkeypatch, tmp_path, mount) is None
    (own / "cgroup.kill").touch()
    assert _says(monkeypatch, tmp_path, mount) == own
