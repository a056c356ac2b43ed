"""Limits as an operator and an author set them, over REST: what the `error` says, and what is left.

Touches processes; the bus is in the program.
"""

from __future__ import annotations

from pathlib import Path

from support.acceptance import ACCOUNT, NOBODY, environment, failure, one_process

_TIGHT = "tight_tasks"
_CODE = """\
import time
from kazoo_tasks import context, task

@task(timeout_s=0.2)
def nap():
    time.sleep(60)

@task
def hold():
    held = []
    while True:
        held.append(bytearray(b"x") * 2**20)

@task
async def whose():
    return context().account_id
"""


async def test_a_task_says_which_limit_it_met(tmp_path: Path) -> None:
    """Its function's time-out, and the memory of its account; the others of the account are as they were."""
    (tmp_path / f"{_TIGHT}.py").write_text(_CODE)
    limits = f'{{"{ACCOUNT}": {{"run_memory_mb": 100}}}}'
    given = environment(NOBODY, tmp_path / "data", modules=_TIGHT, account_limits=limits)
    given["PYTHONPATH"] += f":{tmp_path}"
    async with one_process(given, "--bus", "memory://") as house:
        late = failure(await house.door.run(f"{_TIGHT}.nap"))
        assert (late.kind, late.reason) == ("timeout", "it ran for longer than 0.2 s, by SIGTERM")
        assert late.trace is not None
        assert "time.sleep(60)" in late.trace
        fat = failure(await house.door.run(f"{_TIGHT}.hold"))
        assert (fat.kind, fat.reason.startswith("memory: "), fat.reason.endswith(" > 100 MiB")) == (
            "killed",
            True,
            True,
        )
        assert (await house.door.run(f"{_TIGHT}.whose"))["result"] == ACCOUNT
