"""What the service tells to anybody who listens, and the exchanges over which it does.

Touches a broker and processes; heard and asked through pika.
"""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
from pika.exceptions import ChannelClosedByBroker

from kazoo_tasks.model.gregorian import from_unix
from support.acceptance import ACCOUNT, a_door, environment
from support.acceptance_wire import Post, Stranger
from support.program import running

NODE = "kazoo-tasks@acceptance.test"
HEADERS = {"App-Name", "App-Version", "Event-Category", "Event-Name", "Msg-ID", "Node"}
LIFE = ["task_added", "task_started", "task_progress", "task_ended", "task_removed"]


async def live_and_die(url: str, given: dict[str, str]) -> tuple[list[Post], dict[str, Any]]:
    """The events of one task that reports progress, and the task as REST shows it before its removal."""
    with Stranger(url) as stranger:
        events = stranger.bound("tasks", "tasks.event.#")
        async with running("run", environment=given) as program, a_door(program) as door:
            task = await door.run("acceptance_tasks.count", 1)
            await door.ask("DELETE", task["id"])
            return stranger.take(events, len(LIFE)), task


async def test_every_event_of_a_task_is_told(amqp_url: str, tmp_path: Path) -> None:
    """In order, each under the key that names account, task and event, with the task as it was then."""
    given = environment(amqp_url, tmp_path / "data", node=NODE)
    events, task = await live_and_die(amqp_url, given)
    told = [event.json for event in events]
    assert [event.key for event in events] == [f"tasks.event.{ACCOUNT}.{task['id']}.{name}" for name in LIFE]
    assert [body["Event-Name"] for body in told] == LIFE
    assert all(set(body) == HEADERS | {"Account-ID", "Task-ID", "Task"} for body in told)
    assert all(body["Account-ID"] == ACCOUNT and body["Task-ID"] == task["id"] for body in told)
    assert all(
        (body["App-Name"], body["Event-Category"], body["Node"]) == ("tasks", "tasks", NODE) for body in told
    )
    assert told[2]["Task"]["progress"] == {"done": 1, "total": 1, "note": "counting"}
    assert [told[3]["Task"], told[4]["Task"]] == [task, task]


async def test_messages_say_no_more_than_a_kazoo_can_read(amqp_url: str, tmp_path: Path) -> None:
    """JSON, and neither a timestamp nor the properties that Kazoo does not use."""
    events, _ = await live_and_die(amqp_url, environment(amqp_url, tmp_path / "data"))
    properties = [event.properties for event in events]
    assert {each.content_type for each in properties} == {"application/json"}
    assert {(each.timestamp, each.correlation_id, each.reply_to) for each in properties} == {
        (None, None, None)
    }
    assert len({event.json["Msg-ID"] for event in events}) == len(events)


async def test_heartbeats_are_those_of_a_kazoo_node(amqp_url: str, tmp_path: Path) -> None:
    """With exactly the keys of the contract, again and again in the interval that they announce."""
    given = environment(amqp_url, tmp_path / "data", node=NODE, zone="east", heartbeat_s="0.2")
    with Stranger(amqp_url) as stranger:
        heartbeats = stranger.bound("nodes")
        async with running("service", environment=given):
            first, second = (post.json for post in stranger.take(heartbeats, 2))
    digest = base64.urlsafe_b64encode(hashlib.md5(NODE.encode(), usedforsecurity=False).digest())
    expected = {
        "App-Name": "kz_nodes",
        "Event-Category": "nodes",
        "Event-Name": "advertise",
        "Node": NODE,
        "Zone": "east",
        "Expires": 200,
        "md5": digest.decode().rstrip("="),
    }
    assert first.items() >= expected.items()
    assert set(first) == HEADERS | {"Expires", "WhApps", "Used-Memory", "Processes", "Version", "Zone", "md5"}
    assert abs(first["WhApps"]["pytasks"]["Startup"] - from_unix(time.time())) < 60
    assert first["Used-Memory"] > 10_000_000
    assert first["Processes"] >= 3
    assert first["Msg-ID"] != second["Msg-ID"]


async def test_exchanges_that_others_declared_otherwise_are_used_as_they_are(
    amqp_url: str, tmp_path: Path
) -> None:
    """A Kazoo came first and made `tasks` durable: requests are answered over it, and it stays as it was."""
    with Stranger(amqp_url, {"durable": True}) as stranger:
        async with running("service", environment=environment(amqp_url, tmp_path / "data")) as service:
            assert (await service.logged("bus.exchange_differs"))["exchange"] == "tasks"
            assert stranger.ask("list_req", Account_ID=ACCOUNT).json["Reply"] == []
        stranger.channel.exchange_declare("tasks", "topic", durable=True)


async def test_the_exchanges_are_those_of_the_contract(amqp_url: str, tmp_path: Path) -> None:
    """Who comes second and declares them as Kazoo does is welcome; with another flag he is not."""
    async with running("service", environment=environment(amqp_url, tmp_path / "data")):
        with (
            Stranger(amqp_url) as stranger,
            pytest.raises(ChannelClosedByBroker, match="PRECONDITION_FAILED"),
        ):
            stranger.channel.exchange_declare("tasks", "topic", durable=True)
