"""Requests: what is one, and what is wrong with what is none."""

from typing import Any

import pytest

from kazoo_tasks.model.errors import BadRequest
from kazoo_tasks.wire.body import RestTask
from kazoo_tasks.wire.request import AddRequest, parse_request
from kazoo_tasks.wire.validation import MAX_PROBLEMS, validated
from support.build import ACCOUNT, a_message

ADD = a_message("add_req", Account_ID=ACCOUNT, Module="timer", Function="sleep", Arguments=[1])

WHAT = {"Module": "timer", "Function": "sleep", "Arguments": [1]}


def problems_of(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is wrong with a message."""
    with pytest.raises(BadRequest) as caught:
        parse_request(message)
    return caught.value.problems


def test_unknown_keys_are_ignored() -> None:
    """Kazoo adds headers of its own at will."""
    assert parse_request({**ADD, "Geo-Location": {"x": 1}}) == parse_request(ADD)


@pytest.mark.parametrize("header", ["App-Name", "App-Version", "Event-Category", "Event-Name", "Msg-ID"])
def test_every_default_header_is_mandatory(header: str) -> None:
    """And its absence is told by its name."""
    found = problems_of({key: value for key, value in ADD.items() if key != header})

    assert found[header]["required"]["message"] == "Field is required but missing"


def test_all_problems_are_told_at_once() -> None:
    """Types, lengths and patterns together."""
    found = problems_of({**ADD, "Account-ID": "x", "Module": "", "Arguments": "no", "Start": 1})

    assert {path: list(rules) for path, rules in found.items()} == {
        "Account-ID": ["pattern"],
        "Module": ["minLength"],
        "Arguments": ["type"],
        "Start": ["type"],
    }


def test_an_unknown_event_is_told_what_there_is() -> None:
    """The sender may have mistyped it."""
    assert "read_req" in problems_of(a_message("reed_req"))["Event-Name"]["enum"]["message"]


@pytest.mark.parametrize("name", [None, 7, ["add_req"], {}])
def test_an_event_name_of_another_type_is_a_problem(name: object) -> None:
    """And no crash: it is looked up in a table."""
    assert "type" in problems_of({**ADD, "Event-Name": name})["Event-Name"]


def test_one_and_many_do_not_go_together() -> None:
    """Which one would be meant?"""
    assert problems_of({**ADD, "Tasks": []})["Tasks"]["oneOf"]["message"].startswith("Expected either")


def test_one_needs_all_of_its_parts() -> None:
    """Or there are many."""
    found = problems_of({key: value for key, value in ADD.items() if key != "Function"})

    assert found["Tasks"]["required"]["message"] == "Expected Tasks, or Function too"


def test_bulk_problems_name_the_task() -> None:
    """By its place."""
    tasks = [{"Module": "m", "Function": "f", "Arguments": []}, {"Module": "m", "Arguments": []}]
    message = a_message("add_req", Account_ID=ACCOUNT, Tasks=tasks)

    assert list(problems_of(message)) == ["Tasks.1.Function"]


@pytest.mark.parametrize("changed", [{"Start": True}, {"Arguments": [2]}, {"Account-ID": "0" * 32}])
def test_another_content_has_another_digest(changed: dict[str, Any]) -> None:
    """So a reused Msg-ID is found out."""
    assert parse_request({**ADD, **changed}).digest() != parse_request(ADD).digest()


@pytest.mark.parametrize(
    "changed", [{"Msg-ID": "x"}, {"Server-ID": "q"}, {"Node": "a@b"}, {"App-Version": "5"}]
)
def test_who_asks_does_not_change_the_digest(changed: dict[str, Any]) -> None:
    """A retry may come by another way."""
    assert parse_request({**ADD, **changed}).digest() == parse_request(ADD).digest()


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        ({**ADD, "Start": True, "Auth-Account-ID": ACCOUNT}, "93ed79d27e8f2de5eb70f4250219664c"),
        (a_message("start_req", Account_ID=ACCOUNT, Task_ID="ab" * 15), "4c075e883f2d1d83707daa31d940e2cb"),
    ],
)
def test_a_digest_is_that_of_the_release_before(message: dict[str, Any], digest: str) -> None:
    """Otherwise what was answered before an upgrade and is repeated after it would be a conflict."""
    assert parse_request(message).digest().hex() == digest


def test_a_single_task_is_a_bulk_of_one_inside() -> None:
    """The handlers know one form."""
    request = parse_request(ADD)

    assert isinstance(request, AddRequest)
    assert [(task.module, task.function, task.arguments) for task in request.new_tasks] == [
        ("timer", "sleep", [1])
    ]


@pytest.mark.parametrize("address", ["ü", "a" * 256, "line\nbreak"])
def test_a_server_id_that_can_be_no_routing_key_is_a_problem(address: str) -> None:
    """It would cost the channel."""
    assert "Server-ID" in problems_of({**ADD, "Server-ID": address})


def test_what_is_echoed_is_short() -> None:
    """An answer is not larger than the question, whatever was asked."""
    found = problems_of(
        {**ADD, "Arguments": "x" * 100_000, "Module": {"y": ["z"] * 1_000}, "Function": "ä" * 300}
    )

    shown = [rule["value"] for rules in found.values() for rule in rules.values()]
    assert len(shown) == 3
    assert all(isinstance(value, str) and value.endswith("…") for value in shown)
    assert all(len(value.encode()) <= 203 for value in shown)


def test_so_many_problems_are_told_and_no_more() -> None:
    """Of ten thousand wrong tasks the first few tell what is wrong."""
    found = problems_of(a_message("add_req", Account_ID=ACCOUNT, Tasks=[{}] * 10_000))

    assert len(found) == MAX_PROBLEMS
    assert found["Tasks.0.Module"]["required"]["message"] == "Field is required but missing"


def test_problems_that_are_late_in_a_long_list_are_counted() -> None:
    """They cannot be told one by one in time."""
    good = {"Module": "timer", "Function": "sleep", "Arguments": [1]}
    found = problems_of(a_message("add_req", Account_ID=ACCOUNT, Tasks=[good] * 100 + [{}] * 1_000))

    assert found == {"data": {"invalid": {"message": "There are 3000 problems, too many to be told"}}}


def test_a_key_that_is_named_is_short() -> None:
    """Nobody has a key of a megabyte for a reason."""
    with pytest.raises(BadRequest) as caught:
        validated(RestTask, {"k" * 1_000_000: 1, "module": "m", "function": "f", "arguments": []})

    assert [len(path) for path in caught.value.problems] == [65]


@pytest.mark.parametrize(
    ("what", "digest"),
    [
        ({"Module": "timer", "Function": "sleep", "Arguments": [1]}, "4454358883446a6bde6c091d51bd3729"),
        (
            {"Tasks": [{"Module": "timer", "Function": "sleep", "Arguments": [1]}]},
            "4a6f11db02ef67758e07719f17054bdf",
        ),
    ],
)
def test_what_the_first_release_was_asked_has_the_digest_that_it_had_then(
    what: dict[str, Any], digest: str
) -> None:
    """So that it is known again when it is repeated over an upgrade; a field that came later tells two apart."""
    request = {**a_message("add_req", Account_ID=ACCOUNT), **what}
    assert parse_request(request).digest().hex() == digest
    assert parse_request({**ADD, "Priority": 1}).digest() != parse_request({**ADD, "Priority": 2}).digest()


@pytest.mark.parametrize("priority", [-1, 10, 5.0, "5", True])
def test_a_priority_is_an_integer_from_0_to_9(priority: object) -> None:
    """Of one task, and of each of many."""
    assert list(problems_of({**ADD, "Priority": priority})) == ["Priority"]
    many = a_message("add_req", Account_ID=ACCOUNT, Tasks=[{**WHAT, "Priority": priority}])
    assert list(problems_of(many)) == ["Tasks.0.Priority"]


def test_many_tasks_have_a_priority_each() -> None:
    """None beside them."""
    many = a_message("add_req", Account_ID=ACCOUNT, Tasks=[WHAT, {**WHAT, "Priority": 9}])
    request = parse_request(many)
    assert isinstance(request, AddRequest)
    assert [new.priority for new in request.new_tasks] == [None, 9]
    assert list(problems_of({**many, "Priority": 1})) == ["Tasks"]


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"Start-At": -1}, "Start-At"),
        ({"Start-At": 315_569_520_000}, "Start-At"),
        ({"Start-At": 63_900_000_000.5}, "Start-At"),
        ({"Start-At": "tomorrow"}, "Start-At"),
        ({"Delay": -1}, "Delay"),
        ({"Delay": 315_360_001}, "Delay"),
        ({"Start-At": 63_900_000_000, "Delay": 5}, "Delay"),
    ],
)
def test_a_start_is_named_in_one_way_and_within_reach(when: dict[str, Any], path: str) -> None:
    """When a task is added, alone or with others, and when it is started."""
    assert list(problems_of({**ADD, **when})) == [path]
    many = a_message("add_req", Account_ID=ACCOUNT, Tasks=[WHAT, {**WHAT, **when}])
    assert list(problems_of(many)) == [f"Tasks.1.{path}"]
    assert list(problems_of(a_message("start_req", Task_ID="0" * 30, **when))) == [path]
