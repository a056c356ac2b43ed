"""The user's specification, text by text: each printed request and answer is one that a conversation holds.

Touches its own copy of the specification and the recordings, which the tests beside replay; no socket, no process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest

from support.replay import Conversation, Step, conversations
from support.replay_value import Judge, has_shape, sampled

SPECIFICATION: Final = Path(__file__).with_name("rest-api-spec.md")
_PART: Final = re.compile(
    r"^#### (?P<heading>.+)$|^##### (?P<case>.+)$|```shell\n(?P<curl>(?s:.+?))```|```json\n(?P<answer>(?s:.+?))```",
    re.MULTILINE,
)
_CURL: Final = re.compile(
    r"curl -v -X (?P<method>[A-Z]+) \\\n"
    r' +-H "(?P<header>[^:]+): (?P<value>[^"]+)" \\\n'
    r"(?: +-d '(?P<body>[^']+)' \\\n)?"
    r" +http://\{SERVER\}:8000(?P<path>\S+)\n"
)
#: What curl says of a body that comes from `-d`.
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_ANY_ID: Final = {"data.id": "task_id", "data.*.id": "task_id"}


@dataclass(frozen=True, slots=True)
class Example:
    """One printed answer, and the printed command that it is the answer to."""

    name: str
    curl: str
    answer: str

    @property
    def request(self) -> dict[str, Any]:
        """The command as a conversation would say it."""
        found = _CURL.fullmatch(self.curl)
        assert found, f"expected a command like the others, got {self.curl}"
        headers = {found["header"]: found["value"], **(_FORM if found["body"] else {})}
        body = {"body": found["body"]} if found["body"] else {}
        return {"do": "rest", "method": found["method"], "path": found["path"], "headers": headers, **body}


def examples() -> Iterator[Example]:
    """Every printed answer, in order."""
    heading = case = curl = ""
    for part in _PART.finditer(SPECIFICATION.read_text("utf-8")):
        if part["heading"]:
            heading, case = part["heading"], ""
        elif part["case"]:
            case = part["case"]
        elif part["curl"]:
            curl = part["curl"]
        else:
            yield Example(" / ".join(filter(None, (heading, case))), curl, part["answer"])


EXAMPLES: Final = {example.name: example for example in examples()}
HELD: Final = [conversation for conversation in conversations() if conversation.header.example]


def of_example(conversation: Conversation) -> Example:
    """What the conversation is an example of."""
    assert conversation.header.example
    return EXAMPLES[conversation.header.example]


def shown(conversation: Conversation) -> Step:
    """The step that is the example: the last one that does what is printed."""
    request = of_example(conversation).request
    steps = [step for step in conversation.steps if _does(step, request)]
    assert steps, f"expected {request} among the steps of {conversation.path.name}"
    return steps[-1]


def _does(step: Step, request: Mapping[str, Any]) -> bool:
    return {key: value for key, value in step.do.items() if key != "until"} == request


def test_every_printed_answer_is_held_once() -> None:
    """The specification prints eleven, and each has one conversation."""
    assert len(EXAMPLES) == 11
    assert sorted(EXAMPLES) == sorted(str(conversation.header.example) for conversation in HELD)


@pytest.mark.parametrize("conversation", HELD, ids=lambda conversation: conversation.path.stem)
def test_an_answer_is_as_it_is_printed(conversation: Conversation) -> None:
    """It has the printed keys, and the printed value wherever that is no placeholder and not volatile."""
    header, scope = conversation.header, sampled(conversation.header)
    printed = json.loads(scope.fill(of_example(conversation).answer))
    ids = {} if "{TASK_ID}" in of_example(conversation).answer else _ANY_ID
    judge = Judge(scope, {}, {**header.volatile["rest"], **ids})
    answer = scope.fill(shown(conversation).see[0]["body"])
    differences = {said.partition(":")[0]: said for said in judge.differences(printed, answer)}
    assert differences.keys() == header.deviates.keys(), differences


@pytest.mark.parametrize("conversation", HELD, ids=lambda conversation: conversation.path.stem)
def test_an_answer_has_the_status_that_it_says(conversation: Conversation) -> None:
    """An error names its HTTP status; a success is 200, or 201 for what was added."""
    seen = shown(conversation).see[0]
    success = HTTPStatus.CREATED if shown(conversation).do["method"] == "PUT" else HTTPStatus.OK
    assert seen["status"] == int(seen["body"].get("error", success))


@pytest.mark.parametrize("conversation", HELD, ids=lambda conversation: conversation.path.stem)
def test_the_messages_behind_an_answer_are_seen_and_sent_again(conversation: Conversation) -> None:
    """Request and reply are watched on the broker, and a client on another library holds the same conversation."""
    request, reply = (line["message"] for line in shown(conversation).see[1:])
    mine = {"App-Name", "App-Version", "Msg-ID", "Node", "Server-ID"}
    # What the gateway says of its own client.
    mine |= {"Auth-Account-ID", "Client-IP", "System-Log-ID"}
    twins = [
        step
        for step in conversation.steps
        if step.do.get("message", {}).get("Event-Name") == request["Event-Name"]
    ]
    sent, got = twins[-1].do["message"], twins[-1].see[0]["message"]
    assert sent.keys() - mine == request.keys() - mine
    assert got.keys() == reply.keys()


def test_the_printed_error_is_of_the_shape_that_errors_have() -> None:
    """Worker, class and reason in the first line, the stack trace below it."""
    printed = json.loads(EXAMPLES["Get a specific task's details / Success"].answer)
    assert has_shape(printed["data"]["error"], "failure")
