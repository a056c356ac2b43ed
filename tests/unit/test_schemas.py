"""schemas/: up to date, valid, and true of every message and body that was recorded.

Touches schemas/ and the recorded conversations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from kazoo_tasks.wire.request import REQUESTS
from kazoo_tasks.wire.schema import DIALECT, schema_text, schemas
from support.replay import CONVERSATIONS as RECORDED
from support.replay import Conversation, Line, Step, conversations, load
from support.replay_value import sampled

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "schemas"
CONVERSATIONS: Final = conversations()
SCHEMAS: Final = schemas()
_PUT: Final = "rest.tasks.put.json"


def problems(name: str, value: object) -> list[str]:
    """What a schema has against a value."""
    return [error.message for error in Draft202012Validator(SCHEMAS[name]).iter_errors(value)]


def name_of(message: Line) -> str:
    """The schema of a message."""
    return f"kapi.tasks.{message['Event-Name']}.json"


def filled(conversation: Conversation) -> Iterator[Step]:
    """Its steps, with something of the right shape for each placeholder."""
    scope = sampled(conversation.header)
    return (Step(scope.fill(step.do), scope.fill(step.see)) for step in conversation.steps)


def is_buried(step: Step) -> bool:
    """Whether what was sent became a dead letter."""
    return any(line["see"] == "dead" for line in step.see)


def written(step: Step) -> Iterator[tuple[str, object]]:
    """All that a step says on the wire and that is right, each with the name of its schema."""
    if "message" in step.do and not is_buried(step):
        yield name_of(step.do["message"]), step.do["message"]
    for line in step.see:
        if "message" in line:
            yield name_of(line["message"]), line["message"]
        if line["see"] == "rest" and "body" in line:
            yield from in_body(step.do, line)


def in_body(do: Line, seen: Line) -> Iterator[tuple[str, object]]:
    """What an exchange over HTTP holds."""
    is_success = seen["body"]["status"] == "success"
    yield f"rest.{seen['body']['status']}.json", seen["body"]
    if is_success and "/accounts/" in do["path"]:
        data = seen["body"]["data"]
        name = "audit" if do["path"].partition("?")[0].endswith("/audit") else "task"
        yield from ((f"rest.{name}.json", each) for each in (data if isinstance(data, list) else [data]))
    if is_success and do["method"] == "PUT":
        yield _PUT, json.loads(do["body"])


def recorded(name: str) -> Any:
    """A right value of a schema, as it was recorded."""
    found = (
        value
        for each in CONVERSATIONS
        for step in filled(each)
        for kind, value in written(step)
        if kind == name
    )
    return deepcopy(next(found))


def test_the_directory_is_what_the_models_write() -> None:
    """Otherwise `make schemas` has been forgotten."""
    there = {file.name: file.read_bytes() for file in DIRECTORY.iterdir()}
    assert there == {name: schema_text(schema) for name, schema in SCHEMAS.items()}, "run `make schemas`"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_valid_one(name: str) -> None:
    """Of the dialect that it names."""
    assert SCHEMAS[name]["$schema"] == DIALECT
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name.endswith("_req.json")])
def test_a_request_must_carry_the_mandatory_headers(name: str) -> None:
    """Kazoo's five."""
    assert {"App-Name", "App-Version", "Event-Category", "Event-Name", "Msg-ID"} <= set(
        SCHEMAS[name]["required"]
    )


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.path.stem)
def test_what_was_recorded_is_as_the_schemas_say(conversation: Conversation) -> None:
    """Every request that was taken, every reply, event and body."""
    said = [(name, problems(name, value)) for step in filled(conversation) for name, value in written(step)]
    assert [wrong for wrong in said if wrong[1]] == []


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.path.stem)
def test_what_was_buried_is_not_as_the_schemas_say(conversation: Conversation) -> None:
    """A message of a known kind that was dead-lettered is refused by its schema too."""
    messages = [
        step.do["message"] for step in filled(conversation) if "message" in step.do and is_buried(step)
    ]
    known = [message for message in messages if message.get("Event-Name") in REQUESTS]
    assert [message for message in known if not problems(name_of(message), message)] == []


def test_bodies_that_the_gateway_refused_are_refused_by_their_schema() -> None:
    """Those at least that are JSON."""
    steps = filled(load(RECORDED / "rest_invalid_bodies.jsonl"))
    bodies = [step.do["body"] for step in steps if step.do.get("body", "").endswith(("}", "]"))]
    assert len(bodies) > 5
    assert [body for body in bodies if not problems(_PUT, json.loads(body))] == []


def test_every_message_of_the_contract_is_recorded() -> None:
    """All but snapshots, which are elsewhere each time, progress that no shipped task reports, and the heartbeat."""
    seen = {name for each in CONVERSATIONS for step in filled(each) for name, _ in written(step)}
    ours = ("snapshot_req", "snapshot_resp", "canary_req", "task_progress")
    assert SCHEMAS.keys() - seen == {
        *(f"kapi.tasks.{name}.json" for name in ours),
        "kapi.nodes.advertise.json",
    }


BROKEN: Final[dict[str, tuple[str, Callable[[Any], object]]]] = {
    "a key that a task has not": ("rest.task.json", lambda task: task.update(colour="red")),
    "null for what does not apply": ("rest.task.json", lambda task: task.update(started_at=None)),
    "a task without its account": ("rest.task.json", lambda task: task.pop("account_id")),
    "an id that is too short": ("rest.task.json", lambda task: task.update(id="ab1d2f")),
    "a status that is a number": ("rest.error.json", lambda body: body.update(error=404)),
    "a success without a revision": ("rest.success.json", lambda body: body.pop("revision")),
    "arguments that are no array": (
        _PUT,
        lambda body: body.update(data={"module": "m", "function": "f", "arguments": {}}),
    ),
    "an unknown word": ("kapi.tasks.read_resp.json", lambda reply: reply.update(Reply="perhaps")),
    "a word of another verb": (
        "kapi.tasks.read_resp.json",
        lambda reply: reply.update(Reply="task_running"),
    ),
    "many tasks where one was asked for": ("kapi.tasks.read_resp.json", lambda reply: reply.update(Reply=[])),
    "a task that ended before it started": (
        "rest.task.json",
        lambda task: [task.update(ended_at=63_631_324_961), task.pop("started_at", None)],
    ),
    "both forms of adding": ("kapi.tasks.add_req.json", lambda message: message.update(Tasks=[])),
    "one form and a piece of the other": (
        "kapi.tasks.add_req.json",
        lambda message: [message.pop("Arguments"), message.update(Tasks=[])],
    ),
    "a reply without Reply": ("kapi.tasks.add_resp.json", lambda reply: reply.pop("Reply")),
    "a catalogue under Reply": (
        "kapi.tasks.lookup_resp.json",
        lambda reply: reply.update(Reply=reply.pop("Help")),
    ),
    "an event of another category": (
        "kapi.tasks.task_added.json",
        lambda event: event.update({"Event-Category": "call"}),
    ),
    "an event without its task": ("kapi.tasks.task_ended.json", lambda event: event.pop("Task")),
    "another event's name": (
        "kapi.tasks.start_req.json",
        lambda message: message.update({"Event-Name": "stop_req"}),
    ),
    "an account that is none": (
        "kapi.tasks.list_req.json",
        lambda message: message.update({"Account-ID": "me"}),
    ),
    "a page without end": ("kapi.tasks.list_req.json", lambda message: message.update({"Page-Size": 10_001})),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_refused(broken: str) -> None:
    """A schema that takes all is none."""
    name, damage = BROKEN[broken]
    value = recorded(name)
    assert problems(name, value) == []
    damage(value)
    assert problems(name, value)
