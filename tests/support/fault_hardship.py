"""More stories: a broker that blocks, children that are killed, a disk that fills up, a long run with reconnects.

Touches processes, a file system of its own and /proc through the lab; played by tests/faults, which judges.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
from typing_extensions import override

from support.broker import short_of
from support.disk import small_disk, use_up
from support.fault_history import NOT_NOW, Request
from support.fault_lab import Lab, a_lab, inhabitants, last
from support.fault_load import MODULE, Walker
from support.fault_proxy import Cut
from support.fault_story import (
    Stage,
    Story,
    back_s,
    behind_proxy,
    on_node,
    under_load,
    under_load_until_judged,
    until,
)
from support.program import Program

_SIGNALS: Final = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM)
_KILL_EVERY_S: Final = 0.05
_NAP_MS: Final = 120
_FULL_S: Final = 1.0
_AROUND_S: Final = 1.0
_RECONNECT_EVERY_S: Final = 10.0
_SAMPLE_EVERY_S: Final = 5.0
_MIB: Final = 2**20
_COUNTING: Final = Path(__file__).resolve().parents[1] / "faults" / "counting_build.py"
#: Remembered answers are memory that grows by design, until the window is full: here it is full soon.
_SOAK_SETTINGS: Final = {"dedupe_window_s": "20", "heartbeat_s": "2"}


async def health(lab: Lab) -> tuple[int, dict[str, str]]:
    """What `/health/ready` of the service says: its status, and what is unwell."""
    assert lab.service
    port = (await lab.service.logged("health.listening"))["port"]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/health/ready") as response,
    ):
        return response.status, (await response.json())["unwell"]


# --- a broker that blocks ---


async def broker_blocked(stage: Stage) -> Story:
    """The broker runs short of memory and takes no messages, for longer than a watchdog waits."""
    async with on_node(stage, "broker_blocked") as (lab, node), under_load_until_judged(lab, stage) as judge:
        service = lab.service
        assert service
        await last(_AROUND_S, "the broker takes messages")
        async with short_of(node, "memory"):
            await service.logged("bus.blocked")
            unwell = await health(lab)
            await last(stage.scale.blocked_s, "the broker takes none")
            unwell_still = await health(lab)
        returned = await back_s(lab)
        await until_well(lab)
        await last(_AROUND_S, "the broker takes messages")
        said = [line["event"] for line in service.log if line["event"].startswith(("bus.", "watchdog."))]
        facts = {"unwell": unwell, "unwell_still": unwell_still, "said": Counter(said)}
        return Story(await judge(), [returned], facts)


# --- children that are killed ---


class Killed(dict[int, signal.Signals]):
    """The signal that each child got; shown as their number."""

    @override
    def __repr__(self) -> str:
        return f"{len(self)}"


@dataclass
class Killer:
    """Kills one child after the other, and remembers how."""

    house: Path
    chance: Random
    killed: dict[int, signal.Signals] = field(default_factory=dict)

    def children(self) -> list[int]:
        """The pool's children that have settled down."""
        return [pid for pid, command in inhabitants(self.house).items() if "kazoo-tasks child" in command]

    async def run(self) -> None:
        """Kill until cancelled."""
        while True:
            await last(_KILL_EVERY_S, "the children live")
            # A child that was killed once dies of that; a second signal could be the one that is told.
            alive = [pid for pid in self.children() if pid not in self.killed]
            if alive:
                pid, number = self.chance.choice(alive), self.chance.choice(_SIGNALS)
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                    self.killed[pid] = number


async def children_killed(stage: Stage) -> Story:
    """A child is killed every 50 ms, by one of four signals, while many tasks are run."""
    more: dict[str, Any] = {
        "steady": True,
        "children_killed": True,
        "settings": {"max_restarts": "100000", "breaker_deaths": "0"},
    }
    folder = stage.folder / "children_killed"
    async with a_lab(folder, stage.url(), seed=stage.scale.seed, **more) as lab:
        await lab.start()
        killer = Killer(lab.house, stage.chance("children_killed"))
        killing = asyncio.create_task(killer.run())
        msg_id = lab.client.new_id()
        tags = [f"{msg_id}/{number}" for number in range(stage.scale.child_tasks)]
        new = [{"Module": MODULE, "Function": "nap", "Arguments": [tag, _NAP_MS]} for tag in tags]
        await lab.client.ask("add_req", {"Tasks": new, "Start": True}, tags=tags)
        await lab.rest()
        killing.cancel()
        await asyncio.wait([killing])
        await until(lambda: len(killer.children()) == 2)
        facts = {
            "killed": Killed(killer.killed),
            "children": len(killer.children()),
            "health": await health(lab),
        }
        return Story(await lab.evidence(), facts=facts)


# --- a disk that fills up ---


def free(filler: Path) -> None:
    """There is room again."""
    filler.unlink()


async def disk_full(stage: Stage) -> Story:
    """A small file system is filled up and freed while everything goes on."""
    folder = stage.folder / "disk_full"
    with small_disk(folder / "disk") as disk:
        more: dict[str, Any] = {"steady": True, "settings": {"data_dir": str(disk / "data")}}
        async with a_lab(folder, stage.url(), seed=stage.scale.seed, **more) as lab:
            await lab.start()
            walker = Walker(lab.client, lab.effects, stage.chance("disk_full"))
            async with under_load(lab, stage):
                await last(stage.scale.disk_s, "there is room")
                facts = await fill_and_free(lab, walker, disk / "filler")
                await last(stage.scale.disk_s, "there is room again")
            return Story(await lab.evidence(), [facts.pop("back_s")], facts)


async def fill_and_free(lab: Lab, walker: Walker, filler: Path) -> dict[str, Any]:
    """Leave no room until changes are refused, look around, and make room again."""
    refused, unwell = await fill(lab, walker, filler)
    reads = await lab.client.ask("list_req", {"Page-Size": 1}, attempts=1)
    await last(_FULL_S, "the disk is full")
    free(filler)
    began = time.monotonic()
    await walker.add()
    back = time.monotonic() - began
    await until_well(lab)
    return {
        "back_s": back,
        "refusal": refused.replies[-1].value,
        "read_meanwhile": reads.outcome.value,
        "unwell_meanwhile": unwell,
        "well_after_s": round(time.monotonic() - began, 2),
    }


async def fill(lab: Lab, walker: Walker, filler: Path) -> tuple[Request, tuple[int, dict[str, str]]]:
    """Use up all room until a change is refused and the service says that it is unwell; gives both words."""
    async with asyncio.timeout(30):
        while True:
            use_up(filler)
            request = await walker.add(attempts=1)
            unwell = await health(lab)
            # What fits into the room that the log has already is still accepted, and then all is well for a moment.
            if request.replies and request.replies[-1].value == NOT_NOW and unwell[0] != HTTPStatus.OK:
                return request, unwell


async def until_well(lab: Lab) -> None:
    """Wait until the service says that it is well."""
    async with asyncio.timeout(30):
        while (await health(lab))[0] != HTTPStatus.OK:  # noqa: ASYNC110 - a probe asks, nobody tells it
            await asyncio.sleep(_KILL_EVERY_S)


# --- a long run ---


@dataclass(frozen=True, slots=True)
class Sample:
    """What the service took at one time."""

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    asyncio_tasks: int


def sample(service: Program, began: float) -> Sample:
    """Ask the system, and the service's log."""
    pid = service.pid
    counted = [line["asyncio_tasks"] for line in service.log if line.get("event") == "lab.counted"]
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return Sample(
        at_s=time.monotonic() - began,
        rss_mib=int(status["VmRSS"].split()[0]) * 1024 / _MIB,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(status["Threads"]),
        asyncio_tasks=counted[-1] if counted else 0,
    )


def slope_per_hour(samples: list[Sample], name: str) -> float:
    """How much a figure grows in an hour, by least squares over the second half, when caches have filled."""
    later = samples[len(samples) // 2 :]
    times, values = [each.at_s for each in later], [float(getattr(each, name)) for each in later]
    return statistics.linear_regression(times, values).slope * 3600


async def soak(stage: Stage) -> Story:
    """Mixed load for a long time; the connection is reset every 10 s."""
    more: dict[str, Any] = {"steady": True, "build": (str(_COUNTING),), "settings": _SOAK_SETTINGS}
    async with behind_proxy(stage, "soak", **more) as (lab, proxy), sampled(lab) as samples:
        returns = []
        async with under_load(lab, stage):
            until_s = time.monotonic() + stage.scale.soak_s
            while time.monotonic() < until_s:
                await last(_RECONNECT_EVERY_S, "the connection lives")
                proxy.cut(Cut.RST)
                returns.append(await back_s(lab))
        return Story(await lab.evidence(), returns, trend(samples))


def trend(samples: list[Sample]) -> dict[str, Any]:
    """How the figures went."""
    names = ("rss_mib", "descriptors", "threads", "asyncio_tasks")
    slopes = {name: round(slope_per_hour(samples, name), 2) for name in names}
    return {"slopes_per_hour": slopes, "middle": samples[len(samples) // 2], "last": samples[-1]}


@asynccontextmanager
async def sampled(lab: Lab) -> AsyncIterator[list[Sample]]:
    """What the service takes, again and again."""
    assert lab.service
    samples: list[Sample] = []
    service, began = lab.service, time.monotonic()

    async def look() -> None:
        while True:
            samples.append(sample(service, began))
            await last(_SAMPLE_EVERY_S, "the service works")

    looking = asyncio.create_task(look())
    try:
        yield samples
    finally:
        looking.cancel()
        await asyncio.wait([looking])
