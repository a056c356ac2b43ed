"""A client that was written by somebody else: the same answers over AMQP as over REST, whatever he stamps.

Touches a broker and a process, asked through pika with the timestamp of a real Kazoo in every message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.acceptance import ACCOUNT, OTHER_ACCOUNT, House, environment, one_process
from support.acceptance_wire import Post, Stranger

UNKNOWN = "0" * 30


@pytest.fixture
async def house(amqp_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Service and gateway on a broker."""
    async with one_process(environment(amqp_url, tmp_path / "data")) as house:
        yield house


@pytest.fixture
def stranger(amqp_url: str, house: House) -> Iterator[Stranger]:
    """A client of the same broker."""
    with Stranger(amqp_url) as stranger:
        yield stranger


def word(reply: Post) -> tuple[str, bool]:
    """The word of a refusal, and whether others may know better."""
    return reply.json["Reply"], reply.json.get("Defer-Response", False)


async def test_a_whole_life_over_amqp_is_seen_the_same_over_rest(house: House, stranger: Stranger) -> None:
    """Each reply holds the task that REST shows then; the connection survives all the stamps."""
    task = {"Module": "timer", "Function": "sleep", "Arguments": [100_000]}
    added = stranger.ask("add_req", Account_ID=ACCOUNT, **task).json["Reply"]
    assert added == await house.door.task(added["id"])
    assert stranger.ask("list_req", Account_ID=ACCOUNT).json["Reply"] == (await house.door.ask("GET")).data
    started = stranger.ask("start_req", Task_ID=added["id"]).json["Reply"]
    assert started == await house.door.task(added["id"])
    assert stranger.ask("stop_req", Task_ID=added["id"]).json["Reply"]["id"] == added["id"]
    ended = await house.door.ended(added["id"])
    assert stranger.ask("read_req", Task_ID=added["id"], Account_ID=ACCOUNT).json["Reply"] == ended
    assert stranger.ask("remove_req", Task_ID=added["id"]).json["Reply"] == ended
    assert (await house.door.ask("GET")).data == []
    assert not [line for line in house.service.log if line["event"] == "bus.lost"]


async def test_refusals_are_the_words_of_the_contract(house: House, stranger: Stranger) -> None:
    """Only for what is unknown may others know better."""
    task_id = await house.door.launch("timer.sleep", 100_000)
    new = {"Account_ID": ACCOUNT, "Arguments": []}
    said = {
        "unknown": word(stranger.ask("read_req", Task_ID=UNKNOWN)),
        "not his": word(stranger.ask("stop_req", Task_ID=task_id, Account_ID=OTHER_ACCOUNT)),
        "again": word(stranger.ask("start_req", Task_ID=task_id)),
        "busy": word(stranger.ask("remove_req", Task_ID=task_id)),
        "module": word(stranger.ask("add_req", Module="os", Function="abort", **new)),
        "function": word(stranger.ask("add_req", Module="timer", Function="sleep", **new)),
    }
    assert said == {
        "unknown": ("not_found", True),
        "not his": ("not_found", True),
        "again": ("already_started", False),
        "busy": ("task_running", False),
        "module": ("no_module", False),
        "function": ("no_function", False),
    }


async def test_replies_carry_the_mandatory_headers_and_the_request_s_id(stranger: Stranger) -> None:
    """JSON, with neither a timestamp nor what Kazoo does not use."""
    reply = stranger.ask("lookup_req", Category="erlang", Msg_ID="my-own")
    said, properties = reply.json, reply.properties
    assert (said["Msg-ID"], said["Event-Name"], said["Event-Category"]) == ("my-own", "lookup_resp", "tasks")
    assert (said["App-Name"], said["App-Version"] > "", "@" in said["Node"]) == ("tasks", True, True)
    assert list(said["Help"]["erlang"]) == ["get_cookie"]
    assert properties.content_type == "application/json"
    assert (properties.timestamp, properties.correlation_id, properties.reply_to) == (None, None, None)


async def test_a_request_sent_again_gets_its_first_answer_again(house: House, stranger: Stranger) -> None:
    """Under the same Msg-ID nothing happens twice."""
    new = {"Account_ID": ACCOUNT, "Module": "timer", "Function": "sleep", "Arguments": [0], "Msg_ID": "once"}
    assert stranger.ask("add_req", **new).body == stranger.ask("add_req", **new).body
    assert len((await house.door.ask("GET")).data) == 1


async def test_an_erlang_process_is_answered_where_it_says(stranger: Stranger) -> None:
    """`Server-ID: pid://P/Q` is routed to Q, with P in the AMQP header that its node reads."""
    reply = stranger.ask("read_req", Task_ID=UNKNOWN, Server_ID="pid://<0.1.2>/stranger")
    assert reply.properties.headers == {"Deliver-To-PID": "<0.1.2>"}


async def test_what_is_no_request_is_complained_about(stranger: Stranger) -> None:
    """If its sender can be reached: an `error_resp` that repeats it and says what is wrong."""
    said = stranger.ask("start_req", Msg_ID="bad").json
    assert (said["Event-Category"], said["Event-Name"], said["Msg-ID"]) == ("error", "error_resp", "bad")
    assert "Task-ID" in said["Error-Message"]
    assert said["Request"]["Event-Name"] == "start_req"
