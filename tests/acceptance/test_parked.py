"""Tasks whose module is gone at the next start, and there again at the one after.

Touches processes and files; the program is seen over REST, and no broker is needed for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from support.acceptance import NOBODY, environment, failure, lines, one_process
from support.pool import written

IN_MEMORY: Final = ("--bus", "memory://")
SHIPPED_ONLY: Final = "kazoo_tasks.modules.timer"


async def test_tasks_wait_for_a_module_to_come_back(tmp_path: Path) -> None:
    """None is discarded, also of those that ran when the service was killed; then each is settled as ever."""
    given = environment(NOBODY, tmp_path / "data")
    without = environment(NOBODY, tmp_path / "data", modules=SHIPPED_ONLY)
    async with one_process(given, *IN_MEMORY) as house:
        runs = {name: tmp_path / name for name in ("hold", "once_more")}
        ids = [await house.door.launch(f"acceptance_tasks.{name}", str(mark)) for name, mark in runs.items()]
        for mark in runs.values():
            await written(mark)
        ids.append(await house.door.launch("acceptance_tasks.whoami"))
        await house.service.kill()
    async with one_process(without, *IN_MEMORY) as house:
        parked = [line for line in house.service.log if line["event"] == "service.parked"]
        shown = [await house.door.task(task_id) for task_id in ids]
    async with one_process(given, *IN_MEMORY) as house:
        held, again, waited = [await house.door.ended(task_id) for task_id in ids]

    assert [line["task"] for line in parked] == ids
    assert parked[0]["reason"] == "acceptance_tasks.hold is no longer offered"
    assert [task["is_terminated"] for task in shown] == [False, False, False]
    assert failure(held).kind == "interrupted"
    assert len(list(lines(runs["hold"]))) == 1
    assert again["result"] == 2
    assert waited["is_success"]
