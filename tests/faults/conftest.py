"""The stage of the fault lab's stories, and each story played once.

In the short form all stories are played at the same time, since most of each is waiting; in the long form each alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
import structlog

from rabbitmq import PrivateNode
from support.broker import SessionBroker
from support.disk import may_mount
from support.fault_hardship import broker_blocked, children_killed, disk_full, soak
from support.fault_scale import LONG, SCALE
from support.fault_story import STORIES, Stage, Story, broken

Player = Callable[[Stage], Awaitable[Story]]
BROKEN = ("ack_before_commit", "reply_before_commit", "no_dedupe")
#: Two cores: more at once would only make each other late.
_AT_ONCE = 6


class Theatre:
    """Plays each story once, when it is first asked for."""

    def __init__(self, stage: Stage) -> None:
        """Take the stage."""
        self._stage = stage
        self._told: dict[str, Story | BaseException] = {}
        self._players: dict[str, Player] = {
            **STORIES,
            **{name: partial(broken, variant=name) for name in BROKEN},
            "broker_blocked": broker_blocked,
            "children_killed": children_killed,
            "soak": soak,
        }
        if may_mount():
            self._players["disk_full"] = disk_full

    def story(self, name: str) -> Story:
        """What happened."""
        if name not in self._told:
            asyncio.run(self._play([name] if SCALE.alone or name == "soak" else self._short()))
        told = self._told[name]
        if isinstance(told, BaseException):
            raise told
        return told

    def figures(self) -> Iterator[str]:
        """A line for each story that was played."""
        for name, told in self._told.items():
            if isinstance(told, Story):
                shown = ", ".join(f"{figure} {value}" for figure, value in told.figures.items())
                yield f"{name}: {shown}"

    def _short(self) -> list[str]:
        return [name for name in self._players if name != "soak"]

    async def _play(self, names: list[str]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def play(name: str) -> Story:
            async with turns:
                return await self._players[name](self._stage)

        stories = await asyncio.gather(*map(play, names), return_exceptions=True)
        self._told.update(zip(names, stories, strict=True))


#: Where the session's theatre is kept until the summary.
_THEATRE = pytest.StashKey["Theatre"]()


@pytest.fixture(scope="session")
def theatre(
    request: pytest.FixtureRequest, broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    """The session's stories; their brokers go when they are over."""
    folder = tmp_path_factory.mktemp("faults")
    log = structlog.get_config()
    # The client's bus tells of every connection that it loses, which is what happens here all the time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with ExitStack() as stack:
        nodes: list[PrivateNode] = []

        def node() -> PrivateNode:
            if not nodes:
                nodes.append(stack.enter_context(PrivateNode(folder / "rabbitmq")))
            return nodes[0]

        stage = Stage(folder, SCALE, lambda: stack.enter_context(broker.fresh_vhost()), node)
        theatre = request.config.stash[_THEATRE] = Theatre(stage)
        yield theatre
    structlog.configure(**log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this room the time that their form needs."""
    limit_s = LONG.limit_s if SCALE.alone else SCALE.limit_s
    for item in items:
        if "tests/faults/" in str(item.path):
            item.add_marker(pytest.mark.timeout(limit_s))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures of the stories, for the table in README.md."""
    theatre = config.stash.get(_THEATRE, None)
    if theatre is None or not (SCALE.alone or config.get_verbosity()):
        return
    terminalreporter.section(f"faults, seed {SCALE.seed}")
    for line in theatre.figures():
        terminalreporter.write_line(line)
