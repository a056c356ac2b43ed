"""The audit of what goes through the listener: what is told of each request, to whom, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_tasks.model.audit import AuditQuery
from kazoo_tasks.model.errors import StoreUnavailable
from support.build import ACCOUNT, OTHER_ACCOUNT
from support.core import both, turn
from support.post import Crossbar, a_crossbar

SLEEP = {"Module": "timer", "Function": "sleep", "Arguments": [1]}
ADD = {"Account_ID": ACCOUNT, **SLEEP}


@pytest.fixture
async def crossbar() -> Crossbar:
    """A client of a service."""
    return await a_crossbar()


async def told(crossbar: Crossbar, account_id: str = ACCOUNT, **more: Any) -> list[dict[str, Any]]:
    """What an account's audit says, newest first."""
    entries: list[dict[str, Any]] = (await crossbar.ask("audit_req", Account_ID=account_id, **more))["Reply"]
    return entries


async def deeds(crossbar: Crossbar, **more: Any) -> list[tuple[str, str]]:
    """The same in brief, oldest first."""
    return [(entry["verb"], entry["answer"]) for entry in reversed(await told(crossbar, **more))]


async def test_who_asked_for_what_and_when_is_told(crossbar: Crossbar) -> None:
    """As far as the request said it; times are those of the service."""
    who = {"Auth_Account_ID": OTHER_ACCOUNT, "Client_IP": "192.0.2.7", "System_Log_ID": "r-1", "Node": "a@b"}
    task = (await crossbar.ask("add_req", Msg_ID="m-1", Start=True, **who, **ADD))["Reply"]

    assert await told(crossbar, Task_ID=task["id"]) == [
        {
            "account_id": ACCOUNT,
            "answer": "ok",
            "at": crossbar.office.clock.now(),
            "auth_account_id": OTHER_ACCOUNT,
            "client_ip": "192.0.2.7",
            "detail": {"start": True},
            "function": "sleep",
            "module": "timer",
            "msg_id": "m-1",
            "node": "a@b",
            "request_id": "r-1",
            "task_id": task["id"],
            "verb": "add",
        }
    ]


async def test_a_whole_life_is_told_with_what_was_refused_in_it(crossbar: Crossbar) -> None:
    """And after the task is gone."""
    task_id = (await crossbar.ask("add_req", **ADD))["Reply"]["id"]
    one = {"Account_ID": ACCOUNT, "Task_ID": task_id}
    for verb in ("stop_req", "start_req", "start_req", "remove_req"):
        await crossbar.ask(verb, **one)
    stopped, _ = await both(crossbar.ask("stop_req", **one), _ended(crossbar, task_id))
    assert stopped["Reply"]["is_terminated"] is True
    # A crossbar names no account with these.
    await crossbar.ask("remove_req", Task_ID=task_id)

    assert await deeds(crossbar, Task_ID=task_id) == [
        ("add", "ok"),
        ("stop", "not_running"),
        ("start", "ok"),
        ("start", "already_started"),
        ("remove", "task_running"),
        ("stop", "ok"),
        ("remove", "ok"),
    ]


async def _ended(crossbar: Crossbar, task_id: str) -> None:
    await turn(lambda: task_id in crossbar.office.pool.stopped)
    crossbar.office.pool.end(task_id)


async def test_a_stop_of_what_waits_is_told(crossbar: Crossbar) -> None:
    """It ends in the commit of the entry."""
    ids = [(await crossbar.ask("add_req", Start=True, **ADD))["Reply"]["id"] for _ in range(3)]
    await crossbar.ask("stop_req", Task_ID=ids[2])
    assert await deeds(crossbar, Task_ID=ids[2]) == [("add", "ok"), ("stop", "ok")]


async def test_a_request_that_is_repeated_is_told_once(crossbar: Crossbar) -> None:
    """A repetition has no effect, refused or not; nor has one whose id was used for something else."""
    for _ in range(2):
        task_id = (await crossbar.ask("add_req", Msg_ID="m-1", **ADD))["Reply"]["id"]
        await crossbar.ask("stop_req", Msg_ID="m-2", Account_ID=ACCOUNT, Task_ID=task_id)
    conflict = await crossbar.ask("add_req", Msg_ID="m-1", **{**ADD, "Arguments": [2]})
    assert conflict["Reply"] == "msg_id_conflict"
    assert await deeds(crossbar) == [("add", "ok"), ("stop", "not_running")]


async def test_many_tasks_are_one_entry_that_is_about_each(crossbar: Crossbar) -> None:
    """Modules and functions are named if they are the same; nothing is told of no tasks."""
    tasks = (await crossbar.ask("add_req", Account_ID=ACCOUNT, Tasks=[SLEEP] * 100))["Reply"]
    cookie = {"Module": "erlang", "Function": "get_cookie", "Arguments": []}
    await crossbar.ask("add_req", Account_ID=ACCOUNT, Tasks=[SLEEP, cookie])
    await crossbar.ask("add_req", Account_ID=ACCOUNT, Tasks=[])
    await crossbar.ask("start_req", Task_ID=tasks[50]["id"])

    mixed, hundred = (await told(crossbar))[1:]
    assert (hundred["count"], hundred["module"], hundred["function"]) == (100, "timer", "sleep")
    assert (mixed["count"], "module" in mixed, "function" in mixed) == (2, False, False)
    for place in (0, 49, 99):
        assert await told(crossbar, Task_ID=tasks[place]["id"]) == [hundred]
    assert await deeds(crossbar, Task_ID=tasks[50]["id"]) == [("add", "ok"), ("start", "ok")]


async def test_what_was_not_added_is_told_with_how_many_it_were(crossbar: Crossbar) -> None:
    """And with what all of them named."""
    await crossbar.ask("add_req", Account_ID=ACCOUNT, Tasks=[{**SLEEP, "Module": "os"}] * 3)
    (entry,) = await told(crossbar)
    assert (entry["answer"], entry["count"], entry["module"], entry["function"]) == (
        "no_module",
        3,
        "os",
        "sleep",
    )
    assert "task_id" not in entry


async def test_another_account_is_told_what_it_asked_for_and_no_more(crossbar: Crossbar) -> None:
    """It does not learn whether there is such a task, and the owner is not told."""
    task_id = (await crossbar.ask("add_req", **ADD))["Reply"]["id"]
    await crossbar.ask("remove_req", Account_ID=OTHER_ACCOUNT, Task_ID=task_id)

    (entry,) = await told(crossbar, OTHER_ACCOUNT)
    assert (entry["answer"], entry["task_id"], "module" in entry) == ("not_found", task_id, False)
    assert (await crossbar.ask("audit_req", Account_ID=OTHER_ACCOUNT, Task_ID=task_id))[
        "Reply"
    ] == "not_found"
    assert await deeds(crossbar) == [("add", "ok")]


async def test_what_is_of_no_account_is_told_to_nobody(crossbar: Crossbar) -> None:
    """A crossbar that names neither an account nor a task that is there."""
    assert (await crossbar.ask("stop_req", Task_ID="ab" * 15))["Reply"] == "not_found"
    await crossbar.ask("add_req", **ADD)
    (entry,) = (await crossbar.office.journal.audit(AuditQuery(ACCOUNT, 9))).entries
    assert entry.number == 1


async def test_a_task_of_which_nothing_is_told_yet_has_an_empty_audit(crossbar: Crossbar) -> None:
    """As those have that a release before added; an id of nobody is not found."""
    crossbar.office.journal.keep_audit(2**53, 1)
    task_id = (await crossbar.ask("add_req", **ADD))["Reply"]["id"]
    assert await told(crossbar, Task_ID=task_id) == []
    assert (await crossbar.ask("audit_req", Account_ID=ACCOUNT, Task_ID="ab" * 15))["Reply"] == "not_found"


@pytest.mark.parametrize("client_ip", [7, None, {"a": 1}, ["192.0.2.7"]])
async def test_who_asks_is_for_reading_only(crossbar: Crossbar, client_ip: object) -> None:
    """No request is refused for what it says of that, and nothing endless is kept."""
    await crossbar.ask("add_req", Client_IP=client_ip, System_Log_ID="r" * 1000, Node="n" * 1000, **ADD)
    (entry,) = await told(crossbar)
    assert "client_ip" not in entry
    assert (entry["request_id"], entry["node"]) == ("r" * 255, "n" * 255)


async def test_what_could_not_be_written_is_not_told(crossbar: Crossbar) -> None:
    """Neither what was to be done, nor a refusal: they stand in one commit with their answers."""
    crossbar.office.journal.fail_next(StoreUnavailable("full"), times=2)
    assert (await crossbar.ask("add_req", **ADD))["Reply"] == "datastore_fault"
    assert (await crossbar.ask("add_req", **{**ADD, "Module": "os"}))["Reply"] == "no_module"
    assert await told(crossbar) == []


async def test_a_start_that_was_put_off_is_told_with_its_time(crossbar: Crossbar) -> None:
    """As it was asked for."""
    task = (await crossbar.ask("add_req", **ADD))["Reply"]
    await crossbar.ask("start_req", Task_ID=task["id"], Account_ID=ACCOUNT, Delay=60)
    await crossbar.ask("start_req", Task_ID=task["id"], Account_ID=ACCOUNT)

    newest, put_off, _ = await told(crossbar, Task_ID=task["id"])
    assert (newest["verb"], newest["answer"], "detail" in newest) == ("start", "ok", False)
    assert (put_off["verb"], put_off["answer"], put_off["detail"]) == ("start", "ok", {"delay": 60})
