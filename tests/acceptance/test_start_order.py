"""Service, gateway and broker started in any order: who comes first waits, and all end up serving.

Touches processes, sockets and a broker; a proxy that does not listen yet is the broker that is not there yet.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from support.acceptance import a_door, environment
from support.fault_proxy import ChaosProxy
from support.program import Program, running, start


@pytest.fixture
async def broker_to_come(amqp_url: str) -> AsyncIterator[tuple[ChaosProxy, int]]:
    """A broker that is not there until its proxy listens at this port."""
    proxy = ChaosProxy(amqp_url, 1)
    await proxy.open()
    port = proxy.port
    await proxy.close()
    yield proxy, port
    await proxy.close()


async def probe(port: int, path: str) -> int:
    """The status of a health path."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/health/{path}") as response,
    ):
        return response.status


async def assert_waiting(program: Program, door: str) -> None:
    """It says for what, answers probes, and is not ready."""
    told = await program.logged("bus.waiting")
    assert (told["reason"], 0 < told["for_s"] <= 60) == ("connection refused", True)
    port = (await program.logged(f"{door}.listening"))["port"]
    assert (await probe(port, "live"), await probe(port, "ready")) == (200, 503)


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["service", "gateway", "broker"])), ids="-".join
)
async def test_any_order_of_start_ends_up_serving(
    order: tuple[str, ...], broker_to_come: tuple[ChaosProxy, int], tmp_path: Path
) -> None:
    """Whoever is started before the broker waits for it; the next is started once that is seen."""
    proxy, port = broker_to_come
    given = environment(proxy.url_at(port), tmp_path / "data")
    programs: dict[str, Program] = {}
    async with AsyncExitStack() as stack:
        for name in order:
            if name == "broker":
                await proxy.open(port)
                continue
            programs[name] = program = await start(name, environment=given)
            stack.push_async_callback(program.stop)
            if "broker" in order[order.index(name) :]:
                await assert_waiting(program, "health" if name == "service" else "gateway")
        await programs["service"].logged("service.ready")
        await programs["gateway"].logged("bus.connected")
        assert await probe(await programs["gateway"].port(), "ready") == 200
        door = await stack.enter_async_context(a_door(programs["gateway"]))
        assert (await door.run("timer.sleep", 1))["is_success"]


async def test_both_in_one_process_wait(broker_to_come: tuple[ChaosProxy, int], tmp_path: Path) -> None:
    """And serve, once it is there."""
    proxy, port = broker_to_come
    program = await start("run", environment=environment(proxy.url_at(port), tmp_path / "data"))
    try:
        await assert_waiting(program, "gateway")
        await proxy.open(port)
        await program.logged("service.ready")
        assert await probe(await program.port(), "ready") == 200
    finally:
        assert await program.stop() == 0


@pytest.mark.parametrize("name", ["service", "gateway", "run"])
async def test_who_waits_ends_when_asked(
    broker_to_come: tuple[ChaosProxy, int], tmp_path: Path, name: str
) -> None:
    """At once, and in good order."""
    proxy, port = broker_to_come
    program = await start(name, environment=environment(proxy.url_at(port), tmp_path / "data"))
    await program.logged("bus.waiting")
    assert await program.stop() == 0
    assert program.said == []


async def test_a_service_answers_probes_while_it_drains(amqp_url: str, tmp_path: Path) -> None:
    """It is alive, and not ready."""
    given = environment(amqp_url, tmp_path / "data", drain_s="60")
    async with (
        running("service", environment=given) as service,
        running("gateway", environment=given) as gateway,
    ):
        port = (await service.logged("health.listening"))["port"]
        async with a_door(gateway) as door:
            await door.launch("timer.sleep", 60_000)
        service.signal()
        await service.logged("service.draining")
        assert (await probe(port, "live"), await probe(port, "ready")) == (200, 503)
        service.signal()
