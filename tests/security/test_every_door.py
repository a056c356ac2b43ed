"""Any value that is sent, returned or reported is refused with a reason, or comes back equal at every door.

Touches a broker and a program. `make fuzz` is the long form: 20,000 values a way in.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from support.acceptance import ACCOUNT, environment
from support.acceptance_wire import Stranger
from support.broker import SessionBroker
from support.security_house import House, a_house

#: One fixture sends all values to all doors, for the eleven tests that look at what came of it.
pytestmark = pytest.mark.timeout(400)
VALUES: Final = int(os.environ.get("FUZZ_EXAMPLES", "300"))
#: How many tasks of each way are kept for the doors at the end; those before them are removed.
_KEPT: Final = 60
WAYS: Final = ("rest", "amqp", "result", "progress", "error")
_DEAD: Final = "tasks.dead"
_MODULES: Final = "kazoo_tasks.modules.timer,support.security_tasks"

_NUMBERS: Final = (
    st.integers()
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.integers(2**63 - 2, 2**64 + 2)
    | st.floats()
    | st.just(10**400)
)
_TEXTS: Final = st.text() | st.text(st.characters(categories=["Cs", "Cc", "L"]), min_size=1, max_size=8)
_JSON: Final = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=15,
)
#: The JSON text of a value, as one sender or the other writes it; and what only looks like it.
_SAID: Final = (
    st.builds(lambda value, ascii_: _dumped(value, ascii_=ascii_), _JSON, st.booleans())
    | st.sampled_from(
        [
            b"1e400",
            b"-0.0",
            b"1E2",
            b"1e-400",
            b'{"a":1,"a":2}',
            b'"\\ud800"',
            b"[" * 260 + b"]" * 260,
            b"NaN",
        ]
    )
    | st.integers(1, 240).map(lambda depth: b"[" * depth + b"]" * depth)
    | st.binary(max_size=20)
)


def _dumped(value: object, *, ascii_: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_).encode(errors="surrogatepass")


def _same(one: object, other: object) -> bool:
    """Equal to a reader who tells 1 from 1.0 and 0.0 from -0.0."""
    return json.dumps(one) == json.dumps(other)


@dataclass
class Ways:
    """The ways in, each with what was taken in by it.

    Attributes:
        taken: By task id, what must be found in a field of the task.
    """

    house: House
    stranger: Stranger
    taken: dict[str, tuple[str, object]] = field(default_factory=dict)
    refused: int = 0

    def rest(self, said: bytes) -> None:
        """As an argument over REST."""
        body = (
            b'{"data":{"module":"security_tasks","function":"echo","arguments":['
            + said
            + b'],"start":false}}'
        )
        answer = self.house.ask("PUT", body=body)
        if answer.status == 201:
            self._take(answer.data["id"], "arguments", [_read(said)])
        else:
            # 404: it was not one argument.
            assert answer.status in {400, 404}, answer
            assert b'"message"' in answer.body
            self.refused += 1

    def amqp(self, said: bytes) -> None:
        """As an argument over AMQP."""
        request = self.stranger.request(
            "add_req", Account_ID=ACCOUNT, Module="security_tasks", Function="echo", Arguments="@"
        )
        self.stranger.post(json.dumps(request).encode().replace(b'"@"', b"[" + said + b"]"), "tasks.add")
        reply = self._reply(request["Msg-ID"])
        task = reply.get("Reply")
        if isinstance(task, dict):
            self._take(task["id"], "arguments", [_read(said)])
        else:
            # What is no JSON at all is a dead letter, and nobody knows whom to answer.
            assert not reply or task or reply["Error-Message"], reply
            self.refused += 1

    def _reply(self, msg_id: str) -> dict[str, Any]:
        """The reply to a request, or nothing if there is a dead letter without one."""
        channel, stranger = self.stranger.channel, self.stranger
        while True:
            is_dead = stranger.depth(_DEAD) > 0
            _, _, body = channel.basic_get(stranger.address, auto_ack=True)
            if is_dead:
                # That queue holds so many and no more, so none may stay to be told from the next.
                channel.queue_purge(_DEAD)
            reply: dict[str, Any] = json.loads(body or b"{}")
            # A reply is sent before its request becomes a dead letter, so there is none if it was not there now.
            if reply.get("Msg-ID") == msg_id or (body is None and is_dead):
                return reply

    def result(self, said: bytes) -> None:
        """As what a child says its function returned."""
        task = self._run("answer", said)
        if "error" in task:
            self.refused += 1
            self._take(task["id"], "error", task["error"])
        elif said:
            assert _same(task["result"], _read(said)), said
            self._take(task["id"], "result", task["result"])
        else:
            assert "result" not in task
            self._take(task["id"], "is_success", value=True)

    def progress(self, said: bytes) -> None:
        """As the note with which a function says how far it is; what is no text of Unicode is told with backslashes."""
        task = self._run("tell", said)
        if "error" in task:
            self.refused += 1
            self._take(task["id"], "error", task["error"])
        else:
            note = _text(said).encode(errors="backslashreplace").decode()
            assert task["progress"] == {"done": 1, "note": note}
            self._take(task["id"], "progress", task["progress"])

    def error(self, said: bytes) -> None:
        """As the words with which a function fails."""
        task = self._run("fail", said)
        assert task["error"].partition(" error: ")[2].startswith("ValueError("), task
        self.refused += "\\" in task["error"]
        self._take(task["id"], "error", task["error"])

    def _run(self, function: str, said: bytes) -> dict[str, Any]:
        arguments = [base64.b64encode(said).decode()]
        (task,) = self.house.add({"module": "security_tasks", "function": function, "arguments": arguments})
        return self.house.ended(task["id"])

    def _take(self, task_id: str, name: str, value: object) -> None:
        self.taken[task_id] = name, value
        if len(self.taken) > _KEPT:
            oldest = next(iter(self.taken))
            assert self.house.ask("DELETE", f"/{oldest}").status == 200
            del self.taken[oldest]


def _read(said: bytes) -> object:
    return json.loads(said)


def _text(said: bytes) -> str:
    return said.decode(errors="surrogateescape")


@dataclass(frozen=True)
class Seen:
    """What the doors say in the end of those that are left.

    Attributes:
        doors: By door, each task by its id.
        events: By id, the task as it was told last.
    """

    taken: dict[str, tuple[str, object]]
    refused: dict[str, int]
    doors: dict[str, dict[str, dict[str, Any]]]
    events: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All ways in, then all ways out, before and after a restart and a restore."""
    folder = tmp_path_factory.mktemp("doors")
    with broker.fresh_vhost() as url:
        yield _run(url, folder)


def _run(url: str, folder: Path) -> Seen:
    refused: dict[str, int] = {}
    taken: dict[str, tuple[str, object]] = {}
    told: dict[str, dict[str, Any]] = {}
    with a_house(url, folder, modules=_MODULES) as house, house.stranger() as stranger:
        events = stranger.bound("tasks", "tasks.event.#")
        for name in WAYS:
            ways = Ways(house, stranger)
            _try_many(getattr(ways, name))
            refused[name] = ways.refused
            taken |= ways.taken
            for _, _, body in iter(
                lambda: stranger.channel.basic_get(events, auto_ack=True), (None, None, None)
            ):
                task = json.loads(body)["Task"]
                told[task["id"]] = task
        doors = {"REST": _over_rest(house), "AMQP": _over_amqp(stranger), "CLI": _over_cli(url, folder)}
        snapshot = _cli(url, folder, "snapshot").partition(": ")[0]
    with a_house(url, folder, modules=_MODULES) as house:
        doors["restart"] = _over_rest(house)
    restored = folder / "restored"
    restored.mkdir()
    _cli(url, restored, "restore", snapshot)
    with a_house(url, restored, modules=_MODULES) as house:
        doors["restore"] = _over_rest(house)
    return Seen(taken, refused, doors, told)


def _try_many(way: Callable[[bytes], None]) -> None:
    @settings(
        max_examples=VALUES,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_SAID)
    def try_one(said: bytes) -> None:
        way(said)

    try_one()


def _over_rest(house: House) -> dict[str, dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = {}
    key = ""
    while True:
        answer = house.ask("GET", f"?page_size=50&start_key={key}" if key else "?page_size=50")
        assert answer.status == 200, answer
        tasks |= {task["id"]: task for task in answer.data}
        key = json.loads(answer.body).get("next_start_key", "")
        if not key:
            return tasks


def _over_amqp(stranger: Stranger) -> dict[str, dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = {}
    more: dict[str, Any] = {}
    while True:
        told = stranger.ask("list_req", Account_ID=ACCOUNT, Page_Size=50, **more).json
        tasks |= {task["id"]: task for task in told["Reply"]}
        if not told.get("Next-Start-Key"):
            return tasks
        more = {"Start_Key": told["Next-Start-Key"]}


def _over_cli(url: str, folder: Path) -> dict[str, dict[str, Any]]:
    return {task["id"]: task for task in map(json.loads, _cli(url, folder, "list", ACCOUNT).splitlines())}


def _cli(url: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "kazoo_tasks", *arguments]
    given = os.environ | environment(url, folder / "data")
    return subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("way", WAYS)
def test_some_values_are_taken_in_and_some_refused(seen: Seen, way: str) -> None:
    """Otherwise the rest would say nothing."""
    assert 0 < seen.refused[way] < VALUES


@pytest.mark.parametrize("door", ["REST", "AMQP", "CLI", "restart", "restore"])
def test_what_was_taken_in_comes_back_equal(seen: Seen, door: str) -> None:
    """All of it, and nothing else."""
    assert seen.doors[door].keys() == seen.taken.keys()
    for task_id, (name, value) in seen.taken.items():
        assert _same(seen.doors[door][task_id][name], value), task_id


def test_events_tell_the_same(seen: Seen) -> None:
    """Of each task that is left."""
    for task_id, (name, value) in seen.taken.items():
        assert _same(seen.events[task_id][name], value), task_id
