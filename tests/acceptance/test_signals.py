"""How the programs end when they are asked to: SIGTERM, SIGINT, and either of them twice.

Touches processes, files and a broker.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from support.acceptance import NOBODY, environment, failure, held, lines, one_process, two_processes
from support.pool import written

BOTH = [signal.SIGTERM, signal.SIGINT]
MEMORY = ("--bus", "memory://")
#: SIGTERM, SIGKILL after a second for who does not follow, and a snapshot.
HURRY_S = 4.0
#: From closing its streams to being dead.
ENDING_S = 1.0


@pytest.mark.parametrize("number", BOTH)
async def test_a_signal_ends_both_programs_well(
    amqp_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    """Exit code 0, no process left, a snapshot of all tasks written, and not a word that is no log line."""
    async with two_processes(environment(amqp_url, tmp_path / "data")) as house:
        await house.door.run("erlang.get_cookie")
        programs = (house.service, house.gateway)
        with held(house.service.pid) as family:
            for program in programs:
                program.signal(number)
            assert [await program.ended() for program in programs] == [0, 0]
            assert not family.survivors(ENDING_S)
    snapshot = await house.service.logged("snapshot.taken")
    assert snapshot["tasks"] == 1
    assert snapshot["path"] in [str(file) for file in (tmp_path / "data" / "snapshots").iterdir()]
    assert [program.said for program in programs] == [[], []]


async def test_a_running_task_may_finish(tmp_path: Path) -> None:
    """What ends while the service drains is kept: the next start shows its result."""
    given = environment(NOBODY, tmp_path / "data", drain_s="60")
    async with one_process(given, *MEMORY) as house:
        marks = [str(tmp_path / name) for name in ("mark", "end")]
        task_id = await house.door.launch("acceptance_tasks.await_file", *marks)
        await written(tmp_path / "mark")
        house.service.signal()
        await house.service.logged("service.draining")
        (tmp_path / "end").touch()
        assert await house.service.ended() == 0
    async with one_process(given, *MEMORY) as again:
        assert (await again.door.task(task_id))["result"] == "it came"


@pytest.mark.parametrize("number", BOTH)
async def test_a_second_signal_hurries(tmp_path: Path, number: signal.Signals) -> None:
    """The task that would have had a minute to finish ends at once, with all that it started, and is interrupted."""
    given = environment(NOBODY, tmp_path / "data", drain_s="60")
    async with one_process(given, *MEMORY) as house:
        task_id = await house.door.launch("acceptance_tasks.hold", str(tmp_path / "mark"))
        await written(tmp_path / "mark")
        with held(house.service.pid) as family:
            house.service.signal(number)
            await house.service.logged("service.draining")
            house.service.signal(number)
            asked = time.monotonic()
            assert await house.service.ended() == 0
            assert time.monotonic() - asked < HURRY_S
            assert not family.survivors(ENDING_S)
    async with one_process(given, *MEMORY) as again:
        assert failure(await again.door.task(task_id)).kind == "interrupted"
    assert len(list(lines(tmp_path / "mark"))) == 1
