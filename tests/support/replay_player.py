"""The replayer: does what a conversation says, at both doors, and compares or records what is seen.

Touches the doors of a running service; called by the tests of the replay room, once for each conversation.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from kazoo_tasks.gateway.token_file import add_token, mint_token
from support.replay import Conversation, Header, Line, Step, look, save
from support.replay_door import DEAD_LETTERS, LIMIT_S, REQUEST_QUEUE, AmqpDoor, Letter, ask, letter_body
from support.replay_value import NODE, Judge, Scope

_VERBS: Final = ("lookup", "add", "list", "read", "start", "stop", "remove")
_REQUEST_KEYS: Final = tuple(f"tasks.{verb}" for verb in _VERBS)
#: What our messages are published with, and nothing else: no timestamp, above all.
_PROPERTIES: Final = {"content_type": "application/json"}


@dataclass(frozen=True, slots=True)
class Place:
    """A running service and gateway.

    Attributes:
        port: Where the gateway listens.
        tokens: The file of the tokens that it knows, which may grow.
        version: What it calls its version.
    """

    amqp_url: str
    port: int
    tokens: Path
    version: str

    def token(self, account_id: str) -> str:
        """A new token for an account."""
        token, record = mint_token(account_id)
        add_token(self.tokens, record)
        return token


def given(place: Place, header: Header) -> Scope:
    """What placeholders stand for when a conversation begins: accounts and addresses of its own."""
    mine, other = secrets.token_hex(16), secrets.token_hex(16)
    return Scope(
        {
            "ACCOUNT_ID": mine,
            "AUTH_TOKEN": place.token(mine),
            "OTHER_ACCOUNT_ID": other,
            "OTHER_AUTH_TOKEN": place.token(other),
            "INBOX": f"replay-{secrets.token_hex(8)}",
            "NODE": NODE,
            "VERSION": place.version,
            **header.given,
        }
    )


class Player:
    """Plays one conversation."""

    def __init__(
        self, place: Place, conversation: Conversation, more: Mapping[str, Any] | None = None
    ) -> None:
        """Connect to the place; `more` is given instead of what the header gives."""
        self._place = place
        self._conversation = conversation
        self._header = conversation.header
        self.scope = given(place, self._header)
        for name, value in (more or {}).items():
            self.scope.bind(name, value)
        self._judges = {
            kind: Judge(self.scope, self._header.names, self._header.volatile.get(kind, {}))
            for kind in ("rest", "behind", "amqp", "event", "dead")
        }
        self._door = AmqpDoor(place.amqp_url)
        self._inbox = self._door.listen("targeted", self.scope["INBOX"])
        self._events = self._door.listen("tasks", "tasks.event.#")
        self._dead = self._door.listen_to_the_dead()
        self._behind = self._door.listen("tasks", *_REQUEST_KEYS) if conversation.sees("behind") else ""
        self._looks: dict[str, Callable[[Line, Line], Line]] = {
            "rest": self._see_rest,
            "behind": self._see_behind,
            "amqp": lambda _, __: _shown(self._door.take(self._inbox)),
            "event": lambda _, __: _shown(self._door.take(self._events, self._is_ours)),
            "dead": self._see_dead,
        }
        self._response: Line = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._find_gateway()
        return self

    def __exit__(self, *_: object) -> None:
        with self._door:
            self._leave_nothing_running()

    def differences(self, patience_s: float = LIMIT_S) -> list[str]:
        """Play it, and tell everything that was not as recorded."""
        found = []
        for place, step in enumerate(self._conversation.steps, 1):
            for line, seen in zip(step.see, self._played(step, patience_s), strict=True):
                judge = self._judges[line["see"]]
                said = _parts(line, seen, judge.differences)
                found += [f"step {place}, {line['see']}, {problem}" for problem in said]
        return [*found, *self._left_over(), *self._idle()]

    def record(self) -> None:
        """Play it, and write what is seen into its file."""
        steps = []
        for step in self._conversation.steps:
            seen = self._played(step, LIMIT_S)
            steps.append(Step(step.do, [self._written(*pair) for pair in zip(step.see, seen, strict=True)]))
        save(self._conversation, steps)

    def _written(self, line: Line, seen: Line) -> Line:
        judge = self._judges[line["see"]]
        if line["see"] == "rest":
            seen = _only_headers(line, seen)
        told = {part: judge.recorded(line.get(part), seen[part], _root(part)) for part in _by_weight(seen)}
        return {"see": line["see"], **{part: told[part] for part in seen}}

    def _played(self, step: Step, patience_s: float) -> list[Line]:
        """Do it, and again until the first thing that is seen is as it is waited for."""
        over = time.monotonic() + patience_s
        until = self.scope.fill(step.do.get("until", {}))
        while True:
            do = self.scope.fill(step.do)
            self._do(do)
            seen = [self._looks[line["see"]](line, do) for line in step.see]
            body = (seen[0].get("body") or seen[0].get("message")) if until else None
            if all(look(body, path) == value for path, value in until.items()):
                return seen
            assert time.monotonic() < over, f"expected {until} within {patience_s} s, got {body}"

    def _do(self, do: Line) -> None:
        if do["do"] == "rest":
            self._response = ask(self._place.port, do)
        else:
            self._door.send(do["key"], letter_body(do), **do.get("properties", {}))

    def _see_rest(self, _: Line, __: Line) -> Line:
        return self._response

    def _see_behind(self, _: Line, __: Line) -> Line:
        return _shown(self._door.take(self._behind, self._is_the_gateway_s))

    def _see_dead(self, _: Line, do: Line) -> Line:
        letter = self._door.take(DEAD_LETTERS)
        assert letter.body == letter_body(do), f"expected the same bytes, got {letter.body[:200]!r}"
        death = letter.headers["x-death"][0]
        assert death["queue"] == REQUEST_QUEUE, death
        return {"reason": death["reason"]}

    def _is_ours(self, letter: Letter) -> bool:
        return letter.message["Account-ID"] in (self.scope["ACCOUNT_ID"], self.scope["OTHER_ACCOUNT_ID"])

    def _is_the_gateway_s(self, letter: Letter) -> bool:
        """Whether it is one of its requests, or a reply to one."""
        gateway: str = self.scope["GATEWAY"]
        return letter.key == gateway or letter.message.get("Server-ID") == gateway

    def _find_gateway(self) -> None:
        """Learn where the gateway is answered, from a request of its own that changes nothing."""
        if not self._behind:
            return
        token = self.scope["AUTH_TOKEN"]
        ask(self._place.port, {"method": "GET", "path": "/v2/tasks", "headers": {"X-Auth-Token": token}})
        self.scope.bind("GATEWAY", self._door.take(self._behind).message["Server-ID"])
        self._door.also(self._behind, "targeted", self.scope["GATEWAY"])

    def _left_over(self) -> Iterator[str]:
        """What came that nobody looked for: a last request is answered after all that was before it."""
        last = self._send("lookup", {"Category": "nothing"})
        while (letter := self._door.take(self._inbox)).message["Msg-ID"] != last:
            yield f"at the end: expected no more replies, got {letter.body[:500]!r}"
        for letter in self._door.rest_of(self._dead):
            yield f"at the end: expected no more dead letters, got {letter.body[:500]!r}"
        if self._conversation.sees("event"):
            yield from self._events_left_over()

    def _events_left_over(self) -> Iterator[str]:
        task = {"Module": "erlang", "Function": "get_cookie", "Arguments": []}
        last = self._ask("add", {"Account-ID": self.scope["OTHER_ACCOUNT_ID"], **task})["Reply"]["id"]
        while (letter := self._door.take(self._events, self._is_ours)).message["Task-ID"] != last:
            yield f"at the end: expected no more events, got {letter.body[:500]!r}"

    def _idle(self) -> Iterator[str]:
        """What the header names and nobody met is a mistake in it."""
        for kind, judge in self._judges.items():
            for path in judge.volatile.keys() - judge.used:
                yield f"header: expected a value at the volatile {kind} {path}, got none"
        for name in self._header.names:
            if name not in self.scope:
                yield f"header: expected {{{name}}} to be seen, got none"

    def _leave_nothing_running(self) -> None:
        for account in ("ACCOUNT_ID", "OTHER_ACCOUNT_ID"):
            tasks = self._ask("list", {"Account-ID": self.scope[account]})["Reply"]
            for task in tasks:
                if task.get("is_terminated") is False:
                    self._ask("stop", {"Task-ID": task["id"]})

    def _ask(self, verb: str, fields: Line) -> Line:
        """Ask for something of the replayer's own, and let go of replies to anything else."""
        msg_id = self._send(verb, fields)
        return self._door.take(self._inbox, lambda letter: letter.message["Msg-ID"] == msg_id).message

    def _send(self, verb: str, fields: Line) -> str:
        msg_id = f"replayer-{next(self._numbers)}"
        message = {
            "App-Name": "replayer",
            "App-Version": "1",
            "Event-Category": "tasks",
            "Event-Name": f"{verb}_req",
            "Msg-ID": msg_id,
            "Server-ID": self.scope["INBOX"],
            **fields,
        }
        self._door.send(f"tasks.{verb}", json.dumps(message).encode())
        return msg_id


def _shown(letter: Letter) -> Line:
    """The parts of a message that are compared."""
    known = {name: value for name, value in vars(letter.properties).items() if value is not None}
    headers = known.pop("headers", None)
    known.pop("delivery_mode", None)
    assert known == _PROPERTIES, f"expected no properties but {_PROPERTIES}, got {known}"
    seen: Line = {"key": letter.key, "message": letter.message}
    return {**seen, "headers": headers} if headers else seen


def _parts(line: Line, seen: Line, differences: Callable[[Any, Any, str], Iterator[str]]) -> Iterator[str]:
    expected = {part: value for part, value in line.items() if part != "see"}
    actual = _only_headers(line, seen) if line["see"] == "rest" else seen
    if missing := expected.keys() ^ actual.keys():
        yield f"expected {', '.join(expected)}, and not the same with {', '.join(missing)}"
    for part in _by_weight(actual):
        if part in expected:
            yield from differences(expected[part], actual[part], _root(part))


def _only_headers(line: Line, seen: Line) -> Line:
    """What is seen over HTTP, with those headers that the recording names."""
    headers = {name: seen["headers"].get(name.lower()) for name in line.get("headers", {})}
    kept = {part: value for part, value in seen.items() if part != "headers"}
    return {**kept, "headers": headers} if headers else kept


def _by_weight(seen: Line) -> list[str]:
    """Its parts, the key last, since it may hold names that are bound in the message."""
    return sorted(seen, key=lambda part: part == "key")


def _root(part: str) -> str:
    """Paths into a body or a message need no word before them."""
    return "" if part in ("body", "message") else part
