"""The listener: what is answered, what becomes a dead letter, and when a message is settled."""

import asyncio
import gzip
import os
import threading
from typing import Any

import pytest

from kazoo_tasks.model.errors import BusUnavailable, StoreBroken, StoreUnavailable
from kazoo_tasks.ports import Outgoing
from kazoo_tasks.wire.codec import encode, unpacked
from support.build import ACCOUNT, OTHER_ACCOUNT, a_message
from support.core import turn
from support.post import SENDER, Crossbar, a_crossbar

SLEEP = {"Account_ID": ACCOUNT, "Module": "timer", "Function": "sleep", "Arguments": [1]}


@pytest.fixture
async def crossbar() -> Crossbar:
    """A client of a service."""
    return await a_crossbar()


async def test_a_reply_carries_the_default_headers(crossbar: Crossbar) -> None:
    """And the request's Msg-ID."""
    reply = await crossbar.ask("add_req", Msg_ID="abc", **SLEEP)
    task = reply.pop("Reply")

    assert reply == {
        "App-Name": "tasks",
        "App-Version": SENDER.version,
        "Event-Category": "tasks",
        "Event-Name": "add_resp",
        "Msg-ID": "abc",
        "Node": SENDER.node,
    }
    assert task["arguments"] == [1]


async def test_every_verb_is_answered(crossbar: Crossbar) -> None:
    """From the first to the last of a task's life."""
    task = (await crossbar.ask("add_req", **SLEEP))["Reply"]
    one = {"Task_ID": task["id"]}

    assert (await crossbar.ask("read_req", **one))["Reply"] == task
    assert (await crossbar.ask("list_req", Account_ID=ACCOUNT))["Reply"] == [task]
    assert (await crossbar.ask("start_req", **one))["Reply"]["is_terminated"] is False
    assert (await crossbar.ask("start_req", **one))["Reply"] == "already_started"
    assert (await crossbar.ask("remove_req", **one))["Reply"] == "task_running"
    crossbar.office.pool.end(task["id"])
    await crossbar.office.settled()
    assert (await crossbar.ask("stop_req", **one))["Reply"] == "not_running"
    assert (await crossbar.ask("remove_req", **one))["Reply"]["is_success"] is True
    assert "sleep" in (await crossbar.ask("lookup_req"))["Help"]["timer"]
    assert (await crossbar.ask("snapshot_req"))["Reply"]["tasks"] == 0


@pytest.mark.parametrize("event", ["read_req", "start_req", "stop_req", "remove_req"])
async def test_what_is_not_found_is_deferred(crossbar: Crossbar, event: str) -> None:
    """Another responder on the bus may know the task."""
    task = (await crossbar.ask("add_req", **SLEEP))["Reply"]

    for fields in ({"Task_ID": "0" * 30}, {"Task_ID": task["id"], "Account_ID": OTHER_ACCOUNT}):
        reply = await crossbar.ask(event, **fields)
        assert (reply["Reply"], reply["Defer-Response"]) == ("not_found", True)


async def test_a_refused_add_says_which(crossbar: Crossbar) -> None:
    """For who builds a message out of it."""
    reply = await crossbar.ask("add_req", **{**SLEEP, "Function": "no"})

    assert (reply["Reply"], reply["Error"]) == (
        "no_function",
        {"index": 0, "module": "timer", "function": "no", "arity": 1},
    )


async def test_a_list_goes_on_where_its_page_ended(crossbar: Crossbar) -> None:
    """By the key of the page before."""
    for _ in range(3):
        await crossbar.ask("add_req", **SLEEP)
    first = await crossbar.ask("list_req", Account_ID=ACCOUNT, Page_Size=2)
    second = await crossbar.ask(
        "list_req", Account_ID=ACCOUNT, Page_Size=2, Start_Key=first["Next-Start-Key"]
    )

    assert [len(page["Reply"]) for page in (first, second)] == [2, 1]
    assert second["Start-Key"] == first["Next-Start-Key"]
    assert "Next-Start-Key" not in second


@pytest.mark.parametrize("key", ["!", "czE", "eDE", "ć"])
async def test_a_key_that_no_list_gave_is_refused(crossbar: Crossbar, key: str) -> None:
    """Unless it happens to be one."""
    reply = await crossbar.ask("list_req", Account_ID=ACCOUNT, Start_Key=key)

    assert reply["Reply"] == ([] if key == "czE" else "bad_start_key")


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[1]", b"{}", encode(a_message("other_req")), b'{"Event-Name":{}}']
)
async def test_what_is_no_request_is_dead_lettered_and_the_next_one_answered(
    crossbar: Crossbar, body: bytes
) -> None:
    """Nothing in a message stops the consumer."""
    await crossbar.post(body)

    assert (await crossbar.ask("lookup_req"))["Help"]
    assert [letter.sent.body for letter in crossbar.broker.dead_letters] == [body]
    assert crossbar.listener.counts["dead_lettered"] == 1


async def test_the_sender_of_a_bad_request_is_told(crossbar: Crossbar) -> None:
    """With all that is wrong, and what it was."""
    reply = await crossbar.ask("read_req", Msg_ID="abc")

    assert (reply["Event-Category"], reply["Event-Name"], reply["Msg-ID"]) == ("error", "error_resp", "abc")
    assert reply["Error-Message"] == "Task-ID: Field is required but missing"
    assert reply["Request"]["Event-Name"] == "read_req"
    assert crossbar.listener.counts["dead_lettered"] == 1


@pytest.mark.parametrize("server_id", [7, "ü", "a" * 256, "pid://x"])
async def test_a_sender_without_a_usable_address_is_not_told(crossbar: Crossbar, server_id: Any) -> None:
    """And that is no failure of its own."""
    await crossbar.post(encode(a_message("read_req", Server_ID=server_id)))
    await turn(lambda: crossbar.broker.dead_letters)

    assert not crossbar.mail


async def test_a_request_without_server_id_has_its_effect_and_no_reply(crossbar: Crossbar) -> None:
    """Nobody asked for one."""
    await crossbar.post(encode(a_message("add_req", **SLEEP)))
    await turn(lambda: crossbar.listener.counts["add"])

    assert len(crossbar.office.ledger.registry) == 1
    assert not crossbar.mail


async def test_what_cannot_be_written_now_is_said(crossbar: Crossbar) -> None:
    """And the message is done with: nothing was changed."""
    crossbar.office.journal.fail_next(StoreUnavailable())
    reply = await crossbar.ask("add_req", **SLEEP)

    assert reply["Reply"] == "datastore_fault"
    assert not crossbar.broker.dead_letters


async def test_a_broken_store_leaves_the_message_to_the_next_start(crossbar: Crossbar) -> None:
    """Unsettled, so that the broker gives it away again; once."""
    crossbar.office.journal.fail_next(StoreBroken())
    await crossbar.post(encode(a_message("add_req", **SLEEP)), "tasks.add")
    await turn(lambda: crossbar.listener.counts["unanswered"])
    await crossbar.service_bus.close()

    assert crossbar.broker.waiting == 1
    assert not crossbar.mail


async def test_a_request_whose_reply_could_not_be_sent_has_one_effect(crossbar: Crossbar) -> None:
    """It comes again over the next connection, and is recognised."""
    message = encode(a_message("add_req", Server_ID=crossbar.address, **SLEEP))
    await crossbar.post(message, "tasks.add")
    await crossbar.post(message, "tasks.add")
    await turn(lambda: len(crossbar.mail) == 2)

    assert crossbar.mail[0] == crossbar.mail[1]
    assert len(crossbar.office.ledger.registry) == 1


async def test_a_reply_that_cannot_be_sent_brings_the_request_again(
    crossbar: Crossbar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the connection looks alive: its effect is there once, and its reply comes after all."""
    send = crossbar.service_bus.send

    async def refuse(_: Outgoing) -> None:
        monkeypatch.setattr(crossbar.service_bus, "send", send)
        raise BusUnavailable

    monkeypatch.setattr(crossbar.service_bus, "send", refuse)
    reply = await crossbar.ask("add_req", **SLEEP)

    assert reply["Reply"]["id"] in {task.id for task in crossbar.office.ledger.registry}
    assert len(crossbar.office.ledger.registry) == 1
    assert crossbar.listener.counts["unanswered"] == 1


async def test_a_message_id_of_another_request_is_a_conflict(crossbar: Crossbar) -> None:
    """Whatever it asks for."""
    await crossbar.ask("add_req", Msg_ID="abc", **SLEEP)
    reply = await crossbar.ask("add_req", Msg_ID="abc", **{**SLEEP, "Arguments": [2]})

    assert reply["Reply"] == "msg_id_conflict"


async def test_a_bug_in_a_verb_buries_its_message_and_no_other(
    crossbar: Crossbar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not come again for ever."""

    def explode(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(crossbar.office.ledger.registry, "get", explode)
    await crossbar.post(encode(a_message("read_req", Task_ID="0" * 30)))
    await turn(lambda: crossbar.broker.dead_letters)

    assert (await crossbar.ask("lookup_req"))["Help"]
    assert crossbar.listener.counts["bug"] == 1


async def test_a_snapshot_is_taken_for_an_operator_alone(crossbar: Crossbar) -> None:
    """Whom the broker lets publish with a key of its own."""
    await crossbar.post(encode(a_message("snapshot_req", Server_ID=crossbar.address)), "tasks.snapshot")
    await turn(lambda: crossbar.mail)

    assert "tasks.operator.snapshot" in crossbar.mail[0]["Error-Message"]
    assert len(crossbar.broker.dead_letters) == 1


async def test_a_snapshot_is_not_taken_again_soon(crossbar: Crossbar) -> None:
    """Each is a copy of everything; it is told when to come again."""
    assert (await crossbar.ask("snapshot_req"))["Reply"]["tasks"] == 0
    crossbar.office.clock.at += 50
    refused = await crossbar.ask("snapshot_req")
    assert (refused["Reply"], refused["Error"]) == ("too_soon", {"retry_in_s": 10})
    crossbar.office.clock.at += 10
    assert (await crossbar.ask("snapshot_req"))["Reply"]["tasks"] == 0


async def test_much_gzip_is_unpacked_beside_the_loop(
    crossbar: Crossbar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kB of it may be megabytes; what is small needs no other thread."""
    here: list[bool] = []

    def look(body: bytes, content_encoding: str | None) -> bytes:
        here.append(threading.current_thread() is threading.main_thread())
        return unpacked(body, content_encoding)

    monkeypatch.setattr("kazoo_tasks.listener.listener.unpacked", look)
    for note in ("", os.urandom(4_096).hex()):
        message = a_message("add_req", **{**SLEEP, "Arguments": [1, note]})
        crossbar.broker.publish(Outgoing("tasks", "tasks.add", gzip.compress(encode(message))), "gzip")
        seen = len(here)
        for _ in range(500):
            if len(here) > seen:
                break
            await asyncio.to_thread(lambda: None)
    await crossbar.office.settled()

    assert here == [True, False]
