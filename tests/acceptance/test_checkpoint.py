"""What a run has kept outlives the service, and the next attempt goes on from there.

Touches processes and files; the bus is in the program.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.acceptance import NOBODY, environment, one_process

_CODE = """\
import pathlib, time
from kazoo_tasks import context, task

@task(idempotent=True)
def climb(flag):
    here = context()
    if here.checkpoint is None:
        here.keep({"step": 3})
        while True:
            time.sleep(60)
    return [here.attempt, here.checkpoint]
"""


async def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """SIGKILL of the service, once it is kept; it is gone with the end."""
    (tmp_path / "climbing.py").write_text(_CODE)
    given = environment(NOBODY, tmp_path / "data", modules="climbing")
    given["PYTHONPATH"] += f":{tmp_path}"
    async with one_process(given, "--bus", "memory://") as house:
        task_id = await house.door.launch("climbing.climb", "x")
        async with asyncio.timeout(20):
            while (await house.door.explained(task_id)).get("checkpoint") != {"step": 3}:
                pass
        await house.service.kill()
    async with one_process(given, "--bus", "memory://") as house:
        assert (await house.door.ended(task_id))["result"] == [2, {"step": 3}]
        assert await house.door.explained(task_id) == {}
