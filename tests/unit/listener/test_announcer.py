"""Events and heartbeats: what the outside hears without asking."""

import asyncio
import json
from typing import Any

import pytest

from kazoo_tasks.listener.heartbeat import Heartbeat
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.ports import Incoming
from kazoo_tasks.wire.codec import decode_object
from kazoo_tasks.wire.reply import EVENTS, Replies
from support.build import ACCOUNT, NOW, a_task
from support.core import turn
from support.post import SENDER, Crossbar, a_crossbar


def _task(event: Incoming) -> dict[str, Any]:
    task: dict[str, Any] = json.loads(event.body)["Task"]
    return task


@pytest.fixture
async def crossbar() -> Crossbar:
    """A client of a service."""
    return await a_crossbar()


async def test_each_change_that_matters_outside_is_told_once_and_in_order(crossbar: Crossbar) -> None:
    """Under a routing key that can be bound by account, task or event."""
    heard: list[Incoming] = []
    await crossbar.bus.subscribe("tasks", f"tasks.event.{ACCOUNT}.#", heard.append)
    for kind in Kind:
        crossbar.announcer.announce(Change(kind, a_task()))
    await crossbar.announcer.flush()
    await turn(lambda: len(heard) == len(EVENTS))

    names = [decode_object(event.body)["Event-Name"] for event in heard]
    assert names == [
        *("task_added", "task_started", "task_retrying", "task_retried"),
        *("task_progress", "task_ended", "task_removed"),
    ]
    assert heard[0].routing_key == f"tasks.event.{ACCOUNT}.{a_task().id}.task_added"


async def test_an_event_carries_its_task(crossbar: Crossbar) -> None:
    """So that nobody has to ask."""
    heard: list[dict[str, Any]] = []
    await crossbar.bus.subscribe(
        "tasks", "tasks.event.#", lambda event: heard.append(decode_object(event.body))
    )
    run = asyncio.ensure_future(crossbar.announcer.run())
    crossbar.announcer.announce(Change(Kind.ADDED, a_task()))
    await turn(lambda: heard)
    run.cancel()

    assert (heard[0]["Account-ID"], heard[0]["Task-ID"], heard[0]["Task"]["id"]) == (
        ACCOUNT,
        a_task().id,
        a_task().id,
    )


async def test_events_are_dropped_while_there_is_no_connection(crossbar: Crossbar) -> None:
    """The registry is the truth; they are counted."""
    await crossbar.service_bus.close()
    crossbar.announcer.announce(Change(Kind.ADDED, a_task()))
    await crossbar.announcer.flush()

    assert crossbar.announcer.dropped == 1


async def test_a_heartbeat_is_what_kazoo_understands(crossbar: Crossbar) -> None:
    """Kazoo's own names for everything."""
    heard: list[dict[str, Any]] = []
    await crossbar.bus.subscribe("nodes", "", lambda beat: heard.append(decode_object(beat.body)))
    heartbeat = Heartbeat(crossbar.service_bus, Replies(SENDER), NOW, "local")
    run = asyncio.ensure_future(heartbeat.run())
    await turn(lambda: heard)
    run.cancel()
    beat = heard[0]

    assert beat.pop("Used-Memory") > 2**20
    assert beat.pop("Processes") >= 1
    assert len(beat.pop("Msg-ID")) == 32
    assert beat == {
        "App-Name": "kz_nodes",
        "App-Version": SENDER.version,
        "Event-Category": "nodes",
        "Event-Name": "advertise",
        "Node": SENDER.node,
        "Expires": 10_000,
        "WhApps": {"pytasks": {"Startup": NOW}},
        "Version": SENDER.version,
        "Zone": "local",
        "md5": "zUqj7WmO6o97yhoPmfB81A",
    }


async def test_a_task_that_cannot_be_told_of_silences_no_other(crossbar: Crossbar) -> None:
    """Whatever it is that cannot be encoded; it is counted."""
    heard: list[Incoming] = []
    await crossbar.bus.subscribe("tasks", "tasks.event.#", heard.append)
    for error in ("\ud800", "plain", "\udfff"):
        task = a_task(started_at=NOW, ended_at=NOW, error=error)
        crossbar.announcer.announce(Change(Kind.ENDED, task))
    await crossbar.announcer.flush()
    await turn(lambda: heard)

    assert [_task(event)["error"] for event in heard] == ["plain"]
    assert crossbar.announcer.unsayable == 2
