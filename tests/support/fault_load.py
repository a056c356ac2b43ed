"""Mixed load: walkers that ask one thing after the other, as a seed has it, until they are told to stop.

Touches only the client; used by the fault lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from support.fault_client import Client
from support.fault_history import Outcome, Request

MODULE: Final = "fault_tasks"
#: How often each verb comes, against the others.
_WEIGHTS: Final = {
    "add": 3,
    "add_started": 4,
    "bulk": 1,
    "start": 3,
    "stop": 2,
    "remove": 2,
    "read": 3,
    "list": 1,
}
#: One request in so many is sent once and never again, answered or not.
_GIVEN_UP: Final = 8
_LONGEST_MS: Final = 120
_BULK: Final = 4
#: A breath between requests, so that a long run does not pile up tasks beyond what two slots can run.
_BREATH_S: Final = 0.01
#: A walker that knows so many tasks removes some before it adds more, so that a long run does not only grow.
_ENOUGH: Final = 60

_KEY: Final = "one"
#: So often that two would meet in a short story if nothing held them.
_OFTEN: Final = ("alone", "keyed") * 2

Body = dict[str, Any]


@dataclass
class Walker:
    """One client among many: it only touches tasks that it has added itself."""

    client: Client
    effects: Path
    chance: Random
    known: list[str] = field(default_factory=list)
    breath_s: float = _BREATH_S

    async def walk(self, going: Callable[[], bool]) -> None:
        """Ask, wait for the answer, ask again."""
        while going():
            verb = self.chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            if len(self.known) > _ENOUGH and verb in ("add", "add_started", "bulk"):
                verb = "remove"
            if verb in ("add", "add_started", "bulk") or not self.known:
                await self._add(verb)
            elif verb == "list":
                await self.client.ask("list_req", {"Page-Size": 5})
            else:
                await self._touch(verb, self.chance.choice(self.known))
            await asyncio.sleep(self.chance.uniform(0, 2 * self.breath_s))

    async def _add(self, verb: str) -> None:
        request = await self.add(
            count=_BULK if verb == "bulk" else None, start=verb == "add_started", attempts=self._attempts()
        )
        self.known += [task["id"] for task in request.tasks]

    async def add(
        self,
        function: str | None = None,
        *,
        count: int | None = None,
        start: bool = False,
        attempts: int | None = None,
    ) -> Request:
        """Add one task, or `count` in bulk."""
        msg_id = self.client.new_id()
        tags = [f"{msg_id}/{index}" for index in range(count or 1)]
        new = [self._new(tag, function) for tag in tags]
        fields = {"Start": start, **({"Tasks": new} if count else new[0])}
        return await self.client.ask("add_req", fields, tags=tags, attempts=attempts)

    async def _touch(self, verb: str, task_id: str) -> None:
        request = await self.client.ask(f"{verb}_req", {"Task-ID": task_id}, attempts=self._attempts())
        if verb == "remove" and request.outcome is Outcome.OK:
            self.known.remove(task_id)

    def _attempts(self) -> int | None:
        return 1 if self.chance.randrange(_GIVEN_UP) == 0 else None

    def _new(self, tag: str, function: str | None) -> Body:
        duration_ms = self.chance.randrange(_LONGEST_MS)
        choices: dict[str, list[Any]] = {
            "nothing": [tag],
            "nap": [tag, duration_ms],
            "fail": [tag],
            "effect": [tag, str(self.effects), duration_ms],
            "effect_again": [tag, str(self.effects), duration_ms],
            "alone": [tag, str(self.effects), duration_ms],
            "keyed": [tag, str(self.effects), duration_ms, _KEY],
            "retried": [tag, str(self.effects)],
        }
        chosen = function or self.chance.choice([*choices, *_OFTEN])
        new = {"Module": MODULE, "Function": chosen, "Arguments": choices[chosen]}
        return {**new, "Concurrency-Key": _KEY} if chosen == "keyed" else new


@asynccontextmanager
async def load(client: Client, effects: Path, seed: int, walkers: int) -> AsyncIterator[None]:
    """So many walkers for the length of a `with`; at its end each gets the answer that it waits for."""
    over = asyncio.Event()
    walks: list[Coroutine[Any, Any, None]] = [
        Walker(client, effects, Random(f"{seed}/{number}")).walk(lambda: not over.is_set())
        for number in range(walkers)
    ]
    tasks = [asyncio.create_task(walk) for walk in walks]
    try:
        yield
    except BaseException:
        # The story has failed, and nobody will judge what the walkers still wait for.
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    over.set()
    await asyncio.gather(*tasks)
