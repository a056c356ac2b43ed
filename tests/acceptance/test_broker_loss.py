"""A broker that is killed, frozen and started again under a running service and gateway.

Touches a private broker, processes and files; figures are told to who asks for `--log-level=INFO`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from rabbitmq import PrivateNode
from support.acceptance import ACCOUNT, Answer, Door, House, environment, two_processes
from support.acceptance_wire import Stranger

log = logging.getLogger(__name__)
UNREACHABLE = (503, "datastore_unreachable")
ANSWER_LIMIT_S = 3.0
RETURN_LIMIT_S = 5.0
UNKNOWN = "0" * 30
#: More than the default prefetch.
WAITING = 300


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A broker for these tests alone; each leaves it running."""
    with PrivateNode(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture
async def house(node: PrivateNode, tmp_path: Path) -> AsyncIterator[House]:
    """Service and gateway, as processes of their own, on a broker that can be broken."""
    async with two_processes(environment(node.url, tmp_path / "data")) as house:
        yield house


async def one_of_each(door: Door) -> list[Answer]:
    """A request of each kind."""
    data = {"module": "erlang", "function": "get_cookie", "arguments": []}
    asked = [
        ("GET", ""),
        ("GET", UNKNOWN),
        ("PATCH", UNKNOWN),
        ("DELETE", UNKNOWN),
        ("PATCH", f"{UNKNOWN}/stop"),
    ]
    return [await door.ask("PUT", data=data), *[await door.ask(*request) for request in asked]]


async def seconds_to_success(door: Door) -> float:
    """How long it takes from now until a request is answered."""
    began = time.monotonic()
    while (await door.ask("GET")).status != HTTPStatus.OK:
        pass
    return time.monotonic() - began


async def test_both_recover_alone_when_the_broker_was_killed(house: House, node: PrivateNode) -> None:
    """503 in under 3 s as long as it is away; 200 within 5 s of its first handshake; no task is lost."""
    known, at_work = await house.door.add("timer.sleep", 0), await house.door.launch("timer.sleep", 1)
    before = await house.door.task(known)
    await asyncio.to_thread(node.kill)
    answers = await one_of_each(house.door)
    await asyncio.to_thread(node.start)
    recovery_s = await seconds_to_success(house.door)
    log.info("recovered %.2f s after the broker", recovery_s)
    assert {answer.fault for answer in answers} == {UNREACHABLE}
    assert all(answer.took_s < ANSWER_LIMIT_S and int(answer.headers["Retry-After"]) for answer in answers)
    assert recovery_s < RETURN_LIMIT_S
    assert await house.door.task(known) == before
    assert (await house.door.ended(at_work))["is_success"]


async def test_a_frozen_broker_is_a_time_out(house: House, node: PrivateNode) -> None:
    """The connection looks alive and nothing comes back: 503 all the same, in under 3 s; then all is well."""
    node.pause()
    answer = await house.door.ask("GET")
    node.resume()
    recovery_s = await seconds_to_success(house.door)
    log.info("503 after %.2f s, recovered %.2f s after the thaw", answer.took_s, recovery_s)
    assert answer.fault == UNREACHABLE
    assert answer.took_s < ANSWER_LIMIT_S
    assert recovery_s < RETURN_LIMIT_S


async def test_requests_that_waited_for_the_service_are_answered(house: House, node: PrivateNode) -> None:
    """More than it works on at once lay in the queue when its connection came back: each gets its reply."""
    house.service.signal(signal.SIGSTOP)
    await asyncio.to_thread(node.ctl, "close_all_connections", "maintenance")
    with Stranger(node.url) as stranger:
        requests = [stranger.request("list_req", Account_ID=ACCOUNT) for _ in range(WAITING)]
        for request in requests:
            stranger.post(json.dumps(request).encode(), "tasks.list")
        house.service.signal(signal.SIGCONT)
        replies = [post.json["Msg-ID"] for post in stranger.take(stranger.address, WAITING)]
    assert sorted(replies) == sorted(request["Msg-ID"] for request in requests)
