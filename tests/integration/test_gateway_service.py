"""The gateway in front of the real listener and handlers, over the in-process bus."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kazoo_tasks.bus.caller import BusCaller
from support.gateway import ADMIN_TOKEN, OTHER_ACCOUNT, TASKS, Door, open_door
from support.post import SENDER, Crossbar, a_crossbar

SLEEP = {"module": "timer", "function": "sleep", "arguments": [100000]}


@pytest.fixture
async def crossbar() -> Crossbar:
    """A service on a bus."""
    return await a_crossbar()


@pytest.fixture
async def door(crossbar: Crossbar) -> AsyncIterator[Door]:
    """A gateway on the same bus."""
    caller = BusCaller(crossbar.bus, SENDER, timeout_s=1)
    await caller.open()
    async with open_door(caller=caller) as opened:
        yield opened


async def added(door: Door, data: Any = SLEEP, **options: Any) -> Any:
    """What was added."""
    heard = await door.put(data, **options)
    assert heard.status == 201
    return heard.json["data"]


class TestLife:
    """A task through the front door, from its addition to its removal."""

    async def test_add_start_end_remove(self, door: Door, crossbar: Crossbar) -> None:
        task = await added(door)
        path = f"{TASKS}/{task['id']}"
        assert set(task) == {"account_id", "arguments", "function", "id", "module", "submitted_at"}
        started = await door.ask("PATCH", path)
        assert (started.status, started.json["data"]["is_terminated"]) == (200, False)
        wrong_state = {"cause": task["id"], "message": "bad identifier"}
        assert (await door.ask("PATCH", path)).json["data"] == wrong_state
        assert (await door.ask("DELETE", path)).json["data"] == wrong_state
        crossbar.office.pool.end(task["id"])
        await crossbar.office.settled()
        assert (await door.ask("PATCH", f"{path}/stop")).json["data"] == wrong_state
        removed = await door.ask("DELETE", path)
        assert (removed.status, removed.json["data"]["is_success"]) == (200, True)
        gone = await door.ask("GET", path)
        assert (gone.status, gone.json["message"], gone.json["data"]) == (404, "bad identifier", [task["id"]])

    async def test_the_etag_changes_with_the_task(self, door: Door) -> None:
        path = f"{TASKS}/{(await added(door))['id']}"
        known = {"If-None-Match": (await door.ask("GET", path)).headers["ETag"]}
        assert (await door.ask("GET", path, headers=known)).status == 304
        await door.ask("PATCH", path)
        assert (await door.ask("GET", path, headers=known)).status == 200

    async def test_another_account_does_not_see_it(self, door: Door) -> None:
        task = await added(door)
        path = f"/v2/accounts/{OTHER_ACCOUNT}/tasks/{task['id']}"
        heard = await door.ask("GET", path, token=ADMIN_TOKEN)
        assert (heard.status, heard.json["data"]) == (404, [task["id"]])


class TestAdding:
    """What is added, what is refused, what is the same as before."""

    async def test_many_and_their_pages(self, door: Door) -> None:
        ids = [task["id"] for task in await added(door, [{**SLEEP, "start": True}] * 5)]
        seen: list[str] = []
        query = "page_size=2"
        while query:
            page = (await door.ask("GET", f"{TASKS}?{query}")).json
            seen += [task["id"] for task in page["data"]]
            query = f"page_size=2&start_key={page['next_start_key']}" if "next_start_key" in page else ""
        assert seen == ids
        assert (await door.ask("GET", f"{TASKS}?status=pending")).json["data"] == []

    async def test_a_start_key_that_no_list_gave(self, door: Door) -> None:
        heard = await door.ask("GET", f"{TASKS}?start_key=junk")
        assert (heard.status, list(heard.json["data"])) == (400, ["start_key"])

    @pytest.mark.parametrize(
        ("change", "status", "message", "data"),
        [
            ({"module": "os"}, 404, "bad identifier", ["os"]),
            (
                {"function": "nap"},
                404,
                "bad_identifier",
                {"M:F/A": "timer:nap/1", "cause": "no such function", "message": "bad identifier"},
            ),
        ],
    )
    @pytest.mark.parametrize("is_bulk", [False, True])
    async def test_unknown_functions(  # noqa: PLR0913, PLR0917 - the columns of the table
        self,
        door: Door,
        change: Any,
        status: int,
        message: str,
        data: Any,
        is_bulk: bool,  # noqa: FBT001 - as before
    ) -> None:
        wanted = [SLEEP, SLEEP | change] if is_bulk else SLEEP | change
        heard = await door.put(wanted)
        assert (heard.status, heard.json["message"], heard.json["data"]) == (status, message, data)
        assert (await door.ask("GET", TASKS)).json["data"] == []

    async def test_arguments_of_another_type(self, door: Door) -> None:
        heard = await door.put(
            [SLEEP, {"module": "knm_converters", "function": "normalize", "arguments": [7]}]
        )
        assert (heard.status, list(heard.json["data"])) == (400, ["1.arguments.0"])

    async def test_once_however_often_it_is_asked(self, door: Door) -> None:
        key = {"Idempotency-Key": "once"}
        assert await added(door, headers=key) == await added(door, headers=key)
        other = await door.put({**SLEEP, "arguments": [2]}, headers=key)
        assert (other.status, other.json["message"]) == (409, "datastore_conflict")
        assert len((await door.ask("GET", TASKS)).json["data"]) == 1


class TestCatalogue:
    """What can be run."""

    async def test_names_and_arities(self, door: Door) -> None:
        heard = await door.ask("GET", "/v2/tasks")
        found = {
            f"{module}.{name}": function["arity"]
            for module, functions in heard.json["data"].items()
            for name, function in functions.items()
        }
        assert found == {"timer.sleep": 1, "knm_converters.normalize": 1, "erlang.get_cookie": 0}


class TestAway:
    """Nobody answers."""

    async def test_no_connection(self, door: Door, crossbar: Crossbar) -> None:
        await crossbar.bus.close()
        heard = await door.ask("GET", TASKS)
        assert (heard.status, heard.json["message"]) == (503, "datastore_unreachable")
        assert json.dumps(heard.json["data"]) == '{"message": "datastore timeout"}'
        assert int(heard.headers["Retry-After"]) > 0
