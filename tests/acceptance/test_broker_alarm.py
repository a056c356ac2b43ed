"""A broker that runs short of memory under a running service and gateway, and has enough again.

Touches a private broker, processes and files; figures are told to who asks for `--log-level=INFO`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest

from rabbitmq import PrivateNode
from support.acceptance import Answer, House, environment, two_processes
from support.broker import short_of
from support.program import PATIENCE_S, Program

log = logging.getLogger(__name__)
REASON = "the broker blocks publishers: low on memory"
#: From one canary to the next, and how long it may take: the watchdog has looked once, and would have struck.
WATCHDOG_S = 5.0 + 3.0
#: How fast is refused what is not even sent; a request that is sent is waited for 2 s.
AT_ONCE_S = 1.0
RETURN_LIMIT_S = 5.0


@pytest.fixture
async def house(private_broker: PrivateNode, tmp_path: Path) -> AsyncIterator[House]:
    """Service and gateway, as processes of their own, on a broker that nobody else uses."""
    async with two_processes(environment(private_broker.url, tmp_path / "data")) as house:
        yield house


async def health(house: House, program: Program, path: str = "ready") -> tuple[int, dict[str, str]]:
    """What a probe of one of the two is told."""
    event = "gateway.listening" if program is house.gateway else "health.listening"
    port = (await program.logged(event))["port"]
    async with house.door.session.get(f"http://127.0.0.1:{port}/health/{path}") as response:
        return response.status, json.loads(await response.read())["unwell"]


async def until_told(house: House, program: Program, status: HTTPStatus, reason: str | None) -> None:
    """Probe until this is what `ready` says, and says of the bus."""
    async with asyncio.timeout(PATIENCE_S):
        while (told := await health(house, program))[0] != status or told[1].get("bus") != reason:
            pass


async def add_without_end(house: House, answers: list[Answer]) -> None:
    """Add one task after the other."""
    data = {"module": "erlang", "function": "get_cookie", "arguments": []}
    while True:
        answers.append(await house.door.ask("PUT", data=data))


def lines(program: Program, *prefixes: str) -> Counter[str]:
    """How often it logged what begins like this."""
    return Counter(line["event"] for line in program.log if line["event"].startswith(prefixes))


async def test_a_broker_that_blocks_is_told_and_waited_for(house: House, private_broker: PrivateNode) -> None:
    """Both are unready with its reason and alive, and refuse at once; then all is well, over the same connections."""
    both, answers = (house.service, house.gateway), list[Answer]()
    adding = asyncio.create_task(add_without_end(house, answers))
    async with short_of(private_broker, "memory"):
        for program in both:
            await until_told(house, program, HTTPStatus.SERVICE_UNAVAILABLE, REASON)
        began = time.monotonic()
        refusal = await house.door.ask("GET")
        while time.monotonic() - began < WATCHDOG_S:
            assert [(await health(house, program))[1]["bus"] for program in both] == [REASON, REASON]
            assert [await health(house, program, "live") for program in both] == [(200, {}), (200, {})]
    began = time.monotonic()
    for program in both:
        await until_told(house, program, HTTPStatus.OK, None)
    log.info("both ready %.2f s after the alarm", time.monotonic() - began)
    assert time.monotonic() - began < RETURN_LIMIT_S
    adding.cancel()
    await asyncio.wait([adding])

    assert refusal.fault == (HTTPStatus.SERVICE_UNAVAILABLE, "datastore_unreachable")
    assert refusal.took_s < AT_ONCE_S
    assert {answer.status for answer in answers} == {HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE}
    assert [lines(program, "bus.", "watchdog.") for program in both] == [
        {"bus.connected": 1, "bus.blocked": 1, "bus.unblocked": 1}
    ] * 2
    log.info("answered: %s", Counter(answer.status for answer in answers))
