"""The whole program as a stranger has it: its REST door, and the processes below it.

Touches processes and sockets; used by the tests of the acceptance room.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from kazoo_tasks.settings import Settings
from support import program
from support.pool import descendants
from support.program import DEVELOPMENT_ACCOUNT, DEVELOPMENT_TOKEN, PATIENCE_S, Program, running

ACCOUNT: Final = DEVELOPMENT_ACCOUNT
TOKEN: Final = DEVELOPMENT_TOKEN
OTHER_ACCOUNT: Final = "f" * 32
TESTS: Final = Path(__file__).resolve().parents[1]
MODULE: Final = "acceptance_tasks"
#: Nothing answers there: the port is for nobody but root, and has no usual owner.
NOBODY: Final = "amqp://guest:guest@127.0.0.1:1/"
_SHIPPED: Final[tuple[str, ...]] = Settings.model_fields["modules"].default
_FAILURE: Final = re.compile(
    r"\(<(?P<worker>\d+\.\d+\.\d+)>\) (?P<kind>[a-z]+): (?P<reason>[^\n]*)(?:\n(?P<trace>.*))?", re.DOTALL
)


def environment(amqp_url: str, data_dir: Path, **more: str) -> dict[str, str]:
    """The settings of `support.program`, with this room's task module beside the shipped ones, and a hasty end."""
    modules = ",".join([*_SHIPPED, f"support.{MODULE}"])
    given = program.settings(amqp_url, data_dir, **{"modules": modules, "drain_s": "0", **more})
    return {**given, "PYTHONPATH": str(TESTS)}


@dataclass(frozen=True, slots=True)
class Failure:
    """The `error` of a task, taken apart; the specification gives its shape."""

    worker: str
    kind: str
    reason: str
    trace: str | None


def failure(task: Mapping[str, Any]) -> Failure:
    """Read a task's `error`."""
    found = _FAILURE.fullmatch(task["error"])
    assert found, task["error"]
    return Failure(**found.groupdict())


@dataclass(frozen=True, slots=True)
class Family:
    """A process and all below it, held by descriptors that stay theirs whatever becomes of their numbers.

    Attributes:
        pids: Their numbers, with their command lines.
    """

    pids: dict[int, str]
    _held: dict[int, int]

    def survivors(self, within_s: float) -> list[str]:
        """What is still alive after a time."""
        deadline = time.monotonic() + within_s
        return [self.pids[pid] for pid in self.pids if not self.dies(pid, deadline - time.monotonic())]

    def dies(self, pid: int, within_s: float) -> bool:
        """Whether one of them is dead, or is so in time."""
        return bool(select.select([self._held[pid]], [], [], max(0.0, within_s))[0])

    def close(self) -> None:
        """Let go of them."""
        for descriptor in self._held.values():
            os.close(descriptor)


def held(pid: int) -> closing[Family]:
    """Hold what is there now, for the length of a `with`."""
    pids = {pid: "itself", **descendants(pid)}
    return closing(Family(pids, {each: os.pidfd_open(each) for each in pids}))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the gateway.

    Attributes:
        took_s: From the request to the last byte.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    @property
    def json(self) -> dict[str, Any]:
        """The envelope."""
        envelope: dict[str, Any] = json.loads(self.body)
        return envelope

    @property
    def data(self) -> Any:
        """What the envelope holds."""
        return self.json["data"]

    @property
    def fault(self) -> tuple[int, str]:
        """Status and message of an error."""
        return self.status, self.json["message"]


@dataclass(frozen=True, slots=True)
class Door:
    """A client of a gateway."""

    session: aiohttp.ClientSession
    port: int
    #: The same in every request, so that two responses can be compared byte for byte.
    headers: Mapping[str, str] = field(default_factory=lambda: {"X-Request-ID": "the-same"})

    async def ask(self, method: str, task: str = "", *, data: object = None, **who: str) -> Answer:
        """Send a request about an account's tasks, or one of them; `who` may name `token` and `account`."""
        account, token = who.get("account", ACCOUNT), who.get("token", TOKEN)
        url = f"http://127.0.0.1:{self.port}/v2/accounts/{account}/tasks{'/' if task else ''}{task}"
        body = None if data is None else json.dumps({"data": data})
        headers = {**self.headers, "X-Auth-Token": token}
        began = time.monotonic()
        async with self.session.request(method, url, data=body, headers=headers) as response:
            content = await response.read()
        return Answer(response.status, response.headers.copy(), content, time.monotonic() - began)

    async def add(self, function: str, *arguments: object, start: bool = False) -> str:
        """Add a task of `module.function`, and give its id."""
        module, _, name = function.partition(".")
        data = {"module": module, "function": name, "arguments": arguments, "start": start}
        answer = await self.ask("PUT", data=data)
        assert answer.status == 201, answer
        task_id: str = answer.data["id"]
        return task_id

    async def launch(self, function: str, *arguments: object) -> str:
        """Add a task and start it."""
        return await self.add(function, *arguments, start=True)

    async def task(self, task_id: str) -> dict[str, Any]:
        """What is known of a task."""
        answer = await self.ask("GET", task_id)
        assert answer.status == 200, answer
        task: dict[str, Any] = answer.data
        return task

    async def explained(self, task_id: str) -> dict[str, Any]:
        """Why a task does not run, or what its run takes."""
        answer = await self.ask("GET", f"{task_id}?explain=true")
        assert answer.status == 200, answer
        explained: dict[str, Any] = answer.data["explain"]
        return explained

    async def ended(self, task_id: str) -> dict[str, Any]:
        """Wait for the end of a task."""
        async with asyncio.timeout(PATIENCE_S):
            while not (task := await self.task(task_id)).get("is_terminated"):
                pass
        return task

    async def run(self, function: str, *arguments: object) -> dict[str, Any]:
        """Add a task, start it and wait for its end."""
        return await self.ended(await self.launch(function, *arguments))


@dataclass(frozen=True, slots=True)
class House:
    """A running service and a gateway, which may be one process, and a client of them."""

    service: Program
    gateway: Program
    door: Door


@asynccontextmanager
async def a_door(gateway: Program) -> AsyncIterator[Door]:
    """A client of a running gateway."""
    async with aiohttp.ClientSession() as session:
        yield Door(session, await gateway.port())


@asynccontextmanager
async def one_process(given: dict[str, str], *arguments: str) -> AsyncIterator[House]:
    """Service and gateway by `kazoo-tasks run`."""
    async with running("run", *arguments, environment=given) as both, a_door(both) as door:
        yield House(both, both, door)


@asynccontextmanager
async def two_processes(given: dict[str, str]) -> AsyncIterator[House]:
    """Service and gateway as they are in production."""
    async with AsyncExitStack() as stack:
        ways = [running(name, environment=given) for name in ("service", "gateway")]
        service, gateway = await asyncio.gather(*(stack.enter_async_context(way) for way in ways))
        yield House(service, gateway, await stack.enter_async_context(a_door(gateway)))


def lines(path: Path) -> Iterator[int]:
    """The process ids that a task has signed a file with, one for each time that it ran."""
    return map(int, path.read_text(encoding="ascii").split())
