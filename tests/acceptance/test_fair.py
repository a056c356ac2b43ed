"""Two accounts at one service: the queue of the one is not the other's to wait for."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import SecretStr

from kazoo_tasks.assembly.client import connected
from kazoo_tasks.settings import Settings
from support.acceptance import ACCOUNT, OTHER_ACCOUNT, environment, two_processes

#: Of 10 ms each, for two slots: ten seconds of work.
MANY = 2_000
WORK = {"Module": "timer", "Function": "sleep", "Arguments": [10]}


async def test_a_task_comes_before_another_accounts_thousands(amqp_url: str, tmp_path: Path) -> None:
    """Each of a few, one after the other, while most of the others' are still waiting."""
    given = environment(amqp_url, tmp_path, pool_size="2")
    async with two_processes(given), connected(Settings(amqp_url=SecretStr(amqp_url)), 10.0) as ask:
        await ask("add_req", {"Account-ID": ACCOUNT, "Tasks": [WORK] * MANY, "Start": True})
        took_s = []
        for _ in range(20):
            since = time.monotonic()
            added = await ask("add_req", {"Account-ID": OTHER_ACCOUNT, **WORK, "Start": True})
            task_id = added["Reply"]["id"]
            while not (await ask("read_req", {"Task-ID": task_id}))["Reply"].get("is_terminated"):
                pass
            took_s.append(time.monotonic() - since)
        waiting = await ask("list_req", {"Account-ID": ACCOUNT, "Status": "waiting", "Page-Size": MANY})
    assert len(waiting["Reply"]) > MANY / 2, f"expected others to wait, after {sum(took_s):.1f} s"
