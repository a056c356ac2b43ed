"""What one task says stays its own affair: its account, and everybody else, goes on reading and hearing.

Touches a broker and a program; all hostile tasks run once, and each test looks at one consequence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from support.acceptance import ACCOUNT
from support.broker import SessionBroker
from support.security_house import House, a_house
from support.security_tasks import FORGERIES, NESTED

MODULE: Final = "security_tasks"
#: By what they return or raise: what their `error` must say.
HOSTILE: Final[dict[str, tuple[str, list[object], str]]] = {
    "10**400": ("power", [10, 400], "return integers beyond 64 bits as text"),
    "2**70": ("power", [2, 70], "return integers beyond 64 bits as text"),
    "nested 260 deep": ("nest", [NESTED], "more than 240 levels of nesting"),
    "half a pair": ("half_a_pair", [], "half of a surrogate pair"),
    "raises half a pair": ("fail_with_half_a_pair", [], "ValueError('\\ud800')"),
    **{f"forged: {name}": ("forge", [name], "") for name in FORGERIES},
}


@dataclass(frozen=True)
class Seen:
    """What became of the hostile tasks.

    Attributes:
        ended: By name, each task read alone.
        listed: The whole account over REST, and over AMQP.
        told: The `task_ended` events, in the order of their coming.
        after: An honest task that ran last, and whether it was told of.
        restarted: The whole account after a restart.
        removed: The status of each removal.
    """

    ended: dict[str, dict[str, Any]]
    listed: tuple[list[Any], list[Any]]
    told: set[str]
    after: str
    health: int
    restarted: list[Any]
    removed: list[int]


@pytest.fixture(scope="module")
def seen(broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All of it, once."""
    folder = tmp_path_factory.mktemp("say")
    with broker.fresh_vhost() as url:
        yield _run_all(url, folder)


def _run_all(url: str, folder: Path) -> Seen:
    modules = f"kazoo_tasks.modules.timer,support.{MODULE}"
    with a_house(url, folder, modules=modules) as house, house.stranger() as stranger:
        events = stranger.bound("tasks", "tasks.event.#.task_ended")
        ended = {
            name: _ended(house, function, arguments) for name, (function, arguments, _) in HOSTILE.items()
        }
        after = _ended(house, "echo", ["honest"])
        told = {post.json["Task-ID"] for post in stranger.take(events, len(ended) + 1)}
        over_amqp = stranger.ask("list_req", Account_ID=ACCOUNT).json["Reply"]
        listed = house.ask("GET").data, over_amqp
        health = house.health()
    with a_house(url, folder, modules=modules) as house:
        restarted = house.ask("GET").data
        removed = [house.ask("DELETE", f"/{task['id']}").status for task in restarted]
    return Seen(ended, listed, told, after["id"], health, restarted, removed)


def _ended(house: House, function: str, arguments: list[object]) -> dict[str, Any]:
    (task,) = house.add({"module": MODULE, "function": function, "arguments": arguments})
    return house.ended(task["id"])


@pytest.mark.parametrize("name", HOSTILE)
def test_each_is_read_alone(seen: Seen, name: str) -> None:
    """And says what was wrong with what it said, if anything was."""
    assert HOSTILE[name][2] in seen.ended[name].get("error", "")


def test_two_of_a_key_are_one_at_every_door(seen: Seen) -> None:
    """What a parser makes of it is what everybody sees."""
    assert seen.ended["forged: two of a key"]["result"] == {"a": 2}


def test_the_account_is_read_whole(seen: Seen) -> None:
    """Over both doors, and the same."""
    over_rest, over_amqp = seen.listed
    assert len(over_rest) == len(HOSTILE) + 1
    assert over_rest == over_amqp


def test_every_end_is_told(seen: Seen) -> None:
    """The hostile ones', and those that come after."""
    assert seen.told == {task["id"] for task in seen.ended.values()} | {seen.after}
    assert seen.health == 200


def test_all_of_it_survives_a_restart(seen: Seen) -> None:
    """Equal to what was shown before."""
    assert json.dumps(seen.restarted) == json.dumps(seen.listed[0])


def test_all_of_it_can_be_removed(seen: Seen) -> None:
    """Nothing is left that nobody can get rid of."""
    assert seen.removed == [200] * (len(HOSTILE) + 1)
