"""The stories that the fault lab tells: what is done to the service under load, and what was known afterwards.

Touches processes, sockets and files through the lab; played by tests/faults, which judges.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from rabbitmq import PrivateNode
from support.fault_checker import Violation, check
from support.fault_history import Evidence
from support.fault_lab import Lab, a_lab, last
from support.fault_load import Walker, load
from support.fault_proxy import ChaosProxy, Cut, Weather, a_proxy
from support.fault_scale import Scale

#: Far beyond every promise: what takes longer is told as a figure, and judged by the test.
_PATIENCE_S: Final = 90.0
#: Load before a fault and after it.
_AROUND_S: Final = 1.0
_BETWEEN_KILLS_S: Final = 0.8
#: One kill in so many hits a service that is only just starting.
_EARLY: Final = 5
_TESTS: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where stories are played.

    Attributes:
        url: Gives a broker's URL with a virtual host that nobody else uses.
        node: A broker that may be broken; one story has it at a time, as `turn` says.
    """

    folder: Path
    scale: Scale
    url: Callable[[], str]
    node: Callable[[], PrivateNode]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def chance(self, name: str) -> Random:
        """The chance of one story."""
        return Random(f"{self.scale.seed}/{name}")


@dataclass(frozen=True, slots=True)
class Story:
    """What is known at the end.

    Attributes:
        back_s: How long after each fault the next request was answered.
        facts: Whatever else was seen.
    """

    evidence: Evidence
    back_s: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def violations(self) -> list[Violation]:
        """Everything that is untrue."""
        return check(self.evidence)

    @property
    def figures(self) -> dict[str, object]:
        """What was run and what was found, in short."""
        found: dict[str, object] = {"requests": len(self.evidence.history), **self.evidence.history.counts()}
        found |= {"tasks": len(self.evidence.final), "runs": sum(self.evidence.runs.values())}
        if self.back_s:
            found |= {"faults": len(self.back_s), "back_max_s": round(max(self.back_s), 2)}
        return {**found, **self.facts, "violations": len(self.violations)}


def under_load(lab: Lab, stage: Stage) -> AbstractAsyncContextManager[None]:
    """The stage's load on a lab."""
    return load(lab.client, lab.effects, stage.scale.seed, stage.scale.walkers)


async def back_s(lab: Lab) -> float:
    """How long from now until a request is answered."""
    try:
        return await lab.client.first_answer_s(time.monotonic(), within_s=_PATIENCE_S)
    except TimeoutError as error:
        raise AssertionError(f"expected service within {_PATIENCE_S} s, got {lab.state()}") from error


async def service_killed(stage: Stage) -> Story:
    """The service is killed again and again, sometimes before it is ready."""
    chance = stage.chance("service_killed")
    async with a_lab(stage.folder / "service_killed", stage.url(), seed=stage.scale.seed, steady=True) as lab:
        await kill_again_and_again(lab, stage, chance, stage.scale.service_kills)
        return Story(await lab.evidence(), facts={"kills": lab.kills})


async def kill_again_and_again(lab: Lab, stage: Stage, chance: Random, times: int) -> None:
    """Kill the service so often, under load, at moments of chance."""
    await lab.start()
    async with under_load(lab, stage):
        for _ in range(times):
            await last(chance.uniform(0, _BETWEEN_KILLS_S), "the service lives")
            await lab.kill()
            await lab.start(wait=chance.randrange(_EARLY) > 0)


async def service_deployed(stage: Stage) -> Story:
    """The service is asked to end and started anew, again and again, as releases do it."""
    returns, codes = [], []
    async with a_lab(
        stage.folder / "service_deployed", stage.url(), seed=stage.scale.seed, steady=True
    ) as lab:
        service = await lab.start()
        async with under_load(lab, stage):
            for _ in range(stage.scale.deploys):
                await last(_AROUND_S / 2, "the service lives")
                codes.append(await service.stop())
                service = await lab.start(wait=False)
                returns.append(await back_s(lab))
        return Story(await lab.evidence(), returns, {"exit_codes": sorted(set(codes))})


async def broker_killed(stage: Stage) -> Story:
    """The broker is killed and started again."""
    returns = []
    async with on_node(stage, "broker_killed") as (lab, node), under_load_until_judged(lab, stage) as judge:
        for _ in range(stage.scale.broker_kills):
            await last(_AROUND_S, "the broker lives")
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
            returns.append(await back_s(lab))
        return Story(await judge(), returns)


async def broker_frozen(stage: Stage) -> Story:
    """The broker is stopped by SIGSTOP: connections stay open and nothing answers."""
    async with on_node(stage, "broker_frozen") as (lab, node), under_load_until_judged(lab, stage) as judge:
        await last(_AROUND_S, "the broker lives")
        node.pause()
        await last(stage.scale.frozen_s, "the broker is frozen")
        node.resume()
        returned = await back_s(lab)
        await last(_AROUND_S, "the broker lives")
        return Story(await judge(), [returned], {"frozen_s": stage.scale.frozen_s})


async def hole_from_us(stage: Stage) -> Story:
    """What the service says reaches nobody; what it is told arrives."""
    return await hole(stage, "hole_from_us", lambda proxy: proxy.up)


async def hole_to_us(stage: Stage) -> Story:
    """The service hears nothing; what it says arrives."""
    return await hole(stage, "hole_to_us", lambda proxy: proxy.down)


async def hole(stage: Stage, name: str, direction: Callable[[ChaosProxy], Weather]) -> Story:
    """One direction swallows everything for a while."""
    async with behind_proxy(stage, name) as (lab, proxy), under_load_until_judged(lab, stage) as judge:
        await last(_AROUND_S, "the network is well")
        direction(proxy).swallow()
        began = time.monotonic()
        await last(stage.scale.hole_s, "one direction is a black hole")
        ended = time.monotonic()
        direction(proxy).let_through()
        returned = await back_s(lab)
        await last(_AROUND_S, "the network is well")
        # What was on its way when it began may still arrive.
        through = answers_between(lab, began + _AROUND_S, ended)
        return Story(await judge(), [returned], {"hole_s": stage.scale.hole_s, "answers_in_it": through})


def answers_between(lab: Lab, begin: float, end: float) -> int:
    """How many answers came in a time."""
    return sum(begin < reply.at < end for request in lab.client.history for reply in request.replies)


async def cut_before_ack(stage: Stage) -> Story:
    """The effect is on disk, and the connection is reset before reply and ack have left us."""
    returns = []
    async with behind_proxy(stage, "cut_before_ack", steady=True) as (lab, proxy):
        walker = Walker(lab.client, lab.effects, stage.chance("cut_before_ack"))
        for _ in range(stage.scale.cuts):
            proxy.up.swallow()
            adding = asyncio.create_task(walker.add("effect", start=True))
            await effect_of(lab, adding)
            proxy.cut(Cut.RST)
            proxy.up.let_through()
            returns.append(await back_s(lab))
            await adding
        return Story(await lab.evidence(), returns)


async def effect_of(lab: Lab, adding: asyncio.Task[Any]) -> None:
    """Wait until a line more is in the effect file than there are answered requests that left one."""
    known = len(lab.effects.read_bytes()) if lab.effects.exists() else 0
    async with asyncio.timeout(_PATIENCE_S):
        while not lab.effects.exists() or len(lab.effects.read_bytes()) == known:
            assert not adding.done(), "expected the answer to be in the hole, got it"
            await asyncio.sleep(0)


async def cut_mid_frame(stage: Stage) -> Story:
    """Connections end in the middle of a frame, in both directions and in every way; pieces are small, and late."""
    chance, returns = stage.chance("cut_mid_frame"), []
    async with (
        behind_proxy(stage, "cut_mid_frame", steady=True) as (lab, proxy),
        under_load_until_judged(lab, stage) as judge,
    ):
        for _ in range(stage.scale.cuts):
            weather = chance.choice([proxy.up, proxy.down])
            weather.largest = chance.choice([1, 7, 1000])
            weather.jitter_s = chance.choice([0.0, 0.0, 0.001])
            weather.cut = chance.choice(list(Cut))
            await last(chance.uniform(0, _AROUND_S / 2), "the network is bad")
            cuts, weather.cut_after = proxy.cuts + 1, chance.randrange(1, 2000)
            await until(partial(has_cut, proxy, cuts))
            weather.largest, weather.jitter_s = 65_536, 0.0
            returns.append(await back_s(lab))
        return Story(await judge(), returns)


def has_cut(proxy: ChaosProxy, times: int) -> bool:
    """Whether a proxy has ended so many connections."""
    return proxy.cuts >= times


async def until(fact: Callable[[], bool]) -> None:
    """Wait for what nobody tells of."""
    async with asyncio.timeout(_PATIENCE_S):
        while not fact():  # noqa: ASYNC110 - it is told by counters and files
            await asyncio.sleep(0.01)


async def everything_twice(stage: Stage) -> Story:
    """Every message is delivered twice, the second time up to a third of a second later."""
    async with a_lab(
        stage.folder / "everything_twice", stage.url(), seed=stage.scale.seed, steady=True
    ) as lab:
        await lab.start()
        await come_late(Walker(lab.client, lab.effects, stage.chance("everything_twice")))
        lab.client.copies = 2
        async with under_load(lab, stage):
            await last(stage.scale.twice_s, "everything comes twice")
        return Story(await lab.evidence())


async def come_late(walker: Walker) -> None:
    """Have copies of refused requests come when they would be granted: they are refused all the same."""
    added = await walker.add("nothing")
    about = {"Task-ID": added.tasks[0]["id"]}
    stop = await walker.client.ask("stop_req", about)
    await walker.client.ask("start_req", about)
    remove = await walker.client.ask("remove_req", about)
    await walker.client.again(stop)
    await walker.client.ask("read_req", about)
    await walker.client.again(remove)


async def broken(stage: Stage, variant: str) -> Story:
    """One of the builds that break a promise, killed a few times, with every message twice."""
    build = (str(_TESTS / "faults" / "broken_build.py"), variant)
    # Some never come to rest, which need not be waited for.
    more: dict[str, Any] = {"build": build, "steady": True, "rest_limit_s": 5.0}
    async with a_lab(stage.folder / variant, stage.url(), seed=stage.scale.seed, **more) as lab:
        if variant == "no_dedupe":
            lab.client.copies = 2
            await lab.start()
            async with under_load(lab, stage):
                await last(_AROUND_S, "everything comes twice")
        else:
            await kill_again_and_again(lab, stage, stage.chance(variant), 3)
        return Story(await lab.evidence())


@asynccontextmanager
async def behind_proxy(stage: Stage, name: str, **more: Any) -> AsyncIterator[tuple[Lab, ChaosProxy]]:
    """A lab whose service reaches the broker through a proxy, and whose client does not need one."""
    url = stage.url()
    async with (
        a_proxy(url, stage.scale.seed) as proxy,
        a_lab(stage.folder / name, proxy.url, seed=stage.scale.seed, broker_url=url, **more) as lab,
    ):
        await lab.start()
        yield lab, proxy


@asynccontextmanager
async def on_node(stage: Stage, name: str) -> AsyncIterator[tuple[Lab, PrivateNode]]:
    """A lab on the broker that may be broken."""
    async with stage.turn:
        node = await asyncio.to_thread(stage.node)
        async with a_lab(stage.folder / name, node.url, seed=stage.scale.seed) as lab:
            await lab.start()
            yield lab, node


@asynccontextmanager
async def under_load_until_judged(lab: Lab, stage: Stage) -> AsyncIterator[Callable[[], Awaitable[Evidence]]]:
    """The stage's load, which ends when the evidence is asked for."""
    async with AsyncExitStack() as walking:
        await walking.enter_async_context(under_load(lab, stage))

        async def judge() -> Evidence:
            await walking.aclose()
            return await lab.evidence()

        yield judge


STORIES: Final[dict[str, Callable[[Stage], Awaitable[Story]]]] = {
    each.__name__: each
    for each in (
        service_killed,
        service_deployed,
        broker_killed,
        broker_frozen,
        hole_from_us,
        hole_to_us,
        cut_before_ack,
        cut_mid_frame,
        everything_twice,
    )
}
