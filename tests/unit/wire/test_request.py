"""Requests: what is one, and what is wrong with what is none."""

from typing import Any

import pytest

from kazoo_tasks.model.errors import BadRequest
from kazoo_tasks.wire.request import AddRequest, parse_request
from support.build import ACCOUNT, a_message

ADD = a_message("add_req", Account_ID=ACCOUNT, Module="timer", Function="sleep", Arguments=[1])


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


def test_a_single_task_is_a_bulk_of_one_inside() -> None:
    """The desk knows one form."""
    request = parse_request(ADD)

    assert isinstance(request, AddRequest)
    assert [(task.module, task.function, task.arguments) for task in request.new_tasks] == [
        ("timer", "sleep", [1])
    ]


@pytest.mark.parametrize("address", ["ü", "a" * 256, "line\nbreak"])
def test_a_server_id_that_can_be_no_routing_key_is_a_problem(address: str) -> None:
    """It would cost the channel."""
    assert "Server-ID" in problems_of({**ADD, "Server-ID": address})
