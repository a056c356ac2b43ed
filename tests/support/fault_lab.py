"""The service under faults: started, killed and started again in one data directory, and judged at the end.

Touches processes, files and the broker; used by the stories of the fault lab.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from kazoo_tasks.settings import PREFIX
from support.fault_client import Client, a_client
from support.fault_history import Body, Evidence
from support.fault_load import MODULE
from support.program import Program
from support.program import settings as program_settings

TESTS: Final = Path(__file__).resolve().parents[1]
#: What the kernel may need to bring a SIGKILL to everybody.
ORPHAN_LIMIT_S: Final = 2.0
#: By then whatever the broker still had for us must be answered.
ANSWER_LIMIT_S: Final = 3.0
#: By then every task must have ended, or it is stuck.
REST_LIMIT_S: Final = 60.0
_GLANCE_S: Final = 0.05
_PAGE: Final = 1000
_REAL: Final = ("-m", "kazoo_tasks")


async def last(seconds: float, why: str) -> None:
    """Let a fault last, which is the only reason to sleep here; `why` says which."""
    assert why
    await asyncio.sleep(seconds)


@dataclass
class Lab:
    """A data directory, whoever serves from it now, and the client that remembers everything.

    Attributes:
        url: Where the service finds the broker; perhaps behind a proxy.
        build: What Python is told to run.
        service: The run of the service that there is now.
        kills: How often it was killed.
    """

    folder: Path
    url: str
    client: Client
    build: Sequence[str] = _REAL
    settings: dict[str, str] = field(default_factory=dict)
    service: Program | None = None
    kills: int = 0
    orphans: list[str] = field(default_factory=list)
    children_killed: bool = False
    steady: bool = False
    rest_limit_s: float = REST_LIMIT_S

    @property
    def data_dir(self) -> Path:
        """Where the journal is."""
        return Path(self.settings.get("data_dir", self.folder / "data"))

    @property
    def effects(self) -> Path:
        """Where each run of an effect leaves a line."""
        return self.folder / "effects"

    @property
    def house(self) -> Path:
        """The working directory of the service and of all its children, and of nobody else: it tells them."""
        house = self.folder / "house"
        house.mkdir(exist_ok=True)
        return house

    async def start(self, *, wait: bool = True) -> Program:
        """Have a service, ready if it is waited for."""
        more = {"data_dir": str(self.data_dir), "modules": f"support.{MODULE}", **self.settings}
        given = program_settings(self.url, Path(more.pop("data_dir")), **more)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.build,
            "service",
            stderr=PIPE,
            env={
                **clean,
                **given,
                "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
            },
            cwd=self.house,
            limit=2**24,
        )
        self.service = Program(process)
        if wait:
            await self.service.logged("service.ready")
        return self.service

    async def kill(self) -> None:
        """Kill the service, and note who outlives it."""
        assert self.service
        await self.service.kill()
        self.kills += 1
        deadline = time.monotonic() + ORPHAN_LIMIT_S
        while (left := inhabitants(self.house)) and time.monotonic() < deadline:  # noqa: ASYNC110 - /proc tells nobody
            await asyncio.sleep(_GLANCE_S)
        self.orphans += left.values()

    def state(self) -> str:
        """What there is to be seen when nothing goes on any more."""
        assert self.service
        alive = "alive" if inhabitants(self.house) else "gone"
        log = [{k: v for k, v in line.items() if k != "level"} for line in self.service.log[-12:]]
        client = self.client.address or "not connected"
        return (
            f"a service that is {alive}, a client at {client}; it said {self.service.said}, it logged {log}"
        )

    async def close(self) -> None:
        """End the service in good order, if it still runs."""
        if self.service is not None:
            with suppress(ProcessLookupError):
                await self.service.stop()

    async def rest(self) -> list[Body]:
        """Wait until nothing waits or runs, but not for ever; gives all tasks."""
        deadline = time.monotonic() + self.rest_limit_s
        while True:
            tasks = await self.tasks()
            if time.monotonic() > deadline or all(t.get("is_terminated") is not False for t in tasks):
                return tasks
            await asyncio.sleep(_GLANCE_S)

    async def tasks(self) -> list[Body]:
        """All tasks of the account, page by page."""
        found: list[Body] = []
        key: dict[str, Any] = {}
        while True:
            request = await self.client.ask("list_req", {"Page-Size": _PAGE, **key})
            assert request.answer, "expected the list to be answered, got silence"
            found += request.tasks
            if request.answer.next_key is None:
                return found
            key = {"Start-Key": request.answer.next_key}

    async def unanswered(self) -> list[str]:
        """Wait until everything that was sent is answered, but not for ever; gives what was not."""
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while True:
            silent = [r for r in self.client.history if len(r.replies) < r.sends]
            if not silent or time.monotonic() > deadline:
                return [f"{request.event} {request.msg_id}" for request in silent]
            await asyncio.sleep(_GLANCE_S)

    async def evidence(self) -> Evidence:
        """Let everything come to rest, kill the service once more, and see what its next start shows."""
        self.client.copies = 1
        stuck = [task for task in await self.rest() if task.get("is_terminated") is False]
        unanswered = await self.unanswered() if self.steady else []
        await self.kill()
        await self.start()
        return Evidence(
            self.client.history,
            await self.rest(),
            stuck,
            unanswered,
            runs_in(self.effects),
            self.orphans,
            self.kills,
            children_killed=self.children_killed,
            steady=self.steady,
        )


def inhabitants(house: Path) -> dict[int, str]:
    """The processes whose working directory this is, with their command lines; zombies have none."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == house:
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def made(folder: Path) -> Path:
    """The folder, which is there from now on, by the one name that the kernel has for it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def runs_in(effects: Path) -> dict[str, int]:
    """How often each tag was run."""
    text = effects.read_text("ascii") if effects.exists() else ""
    return Counter(line.split()[0] for line in text.splitlines())


@asynccontextmanager
async def a_lab(
    folder: Path, url: str, *, seed: int, broker_url: str | None = None, **more: Any
) -> AsyncIterator[Lab]:
    """A lab with a client and no service yet; `broker_url` is for the client, when the service has a proxy."""
    chance = Random(f"{seed}/{folder.name}")
    account = f"{chance.getrandbits(128):032x}"
    async with a_client(broker_url or url, account, chance) as client:
        lab = Lab(made(folder), url, client, **more)
        try:
            yield lab
        finally:
            await lab.close()
