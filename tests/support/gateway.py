"""A gateway under test: in front of a service that answers as told, and a client that sees every byte.

Used by the tests of the gateway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from kazoo_tasks.assembly.health import Checkup
from kazoo_tasks.gateway.auth import FirstOf, FixedToken
from kazoo_tasks.gateway.identity import Identity
from kazoo_tasks.gateway.server import Gateway
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.ports import Caller

ACCOUNT: Final = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
OTHER_ACCOUNT: Final = "f" * 32
ADMIN_ACCOUNT: Final = "a" * 32
TOKEN: Final = "dev-token-dev-token-dev-token-dev"
ADMIN_TOKEN: Final = "admin-token"
TASK_ID: Final = "754b9b2fec86eaed255e2c5f58df95"
TASKS: Final = f"/v2/accounts/{ACCOUNT}/tasks"
TASK: Final = f"{TASKS}/{TASK_ID}"
SETTINGS: Final = GatewaySettings(port=0, shutdown_s=0.2)

Answer = Mapping[str, Any] | Exception | Callable[[], Any]


@dataclass(frozen=True)
class Call:
    """One request as it went over the bus."""

    event: str
    fields: dict[str, Any]
    msg_id: str | None


@dataclass
class ScriptedService:
    """The far end of the bus: says the same to every request of a kind, and keeps what it was asked."""

    timeout_s = 2.0

    answers: dict[str, Answer] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def replies(self, event: str, reply: Any, **more: Any) -> None:
        """From now on answer a kind of request with this `Reply`."""
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        self.answers[event] = {"Reply": reply, **extra}

    async def call(
        self, event: str, fields: Mapping[str, object], *, msg_id: str | None = None
    ) -> dict[str, Any]:
        """See `ports.Caller`."""
        self.calls.append(Call(event, dict(fields), msg_id))
        answer = self.answers[event]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = await answer()
        return json.loads(json.dumps(answer))  # type: ignore[no-any-return] # an object of JSON again


@dataclass(frozen=True)
class Heard:
    """A response, as it came over the socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The value of the body, its keys in the order in which they came."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Door:
    """A running gateway and a client of it."""

    service: ScriptedService
    gateway: Gateway
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, *, token: str | None = TOKEN, **options: Any) -> Heard:
        """Send one request and read its whole response."""
        headers = {**({"X-Auth-Token": token} if token else {}), **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.gateway.port}{path}"
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Heard(response.status, response.headers.copy(), await response.read())

    async def put(self, data: Any, **options: Any) -> Heard:
        """Add what `data` says."""
        return await self.ask("PUT", TASKS, data=json.dumps({"data": data}), **options)

    async def raw(self, request: bytes) -> Heard:
        """Send bytes as they are, and read until the gateway hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        writer.write(request)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = said.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return Heard(int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body)

    async def raw_path(self, path: bytes) -> Heard:
        """GET a path that no client would send."""
        head = (
            b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: " + TOKEN.encode()
        )
        return await self.raw(head + b"\r\n\r\n")


KNOWN_TOKENS: Final = FirstOf(
    (
        FixedToken(TOKEN, Identity(ACCOUNT)),
        FixedToken(ADMIN_TOKEN, Identity(ADMIN_ACCOUNT, superduper_admin=True)),
    )
)


@asynccontextmanager
async def open_door(
    settings: GatewaySettings = SETTINGS, caller: Caller | None = None
) -> AsyncIterator[Door]:
    """A gateway on a free port, closed at the end; it asks the door's scripted service unless another is given."""
    service = ScriptedService()
    gateway = Gateway(settings, caller or service, KNOWN_TOKENS, Checkup({}))
    await gateway.start()
    try:
        # Nothing is unpacked or added on the way: tests look at what was sent.
        async with aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=("Accept-Encoding",)
        ) as session:
            yield Door(service, gateway, session)
    finally:
        await gateway.close()


def a_task(**changes: Any) -> dict[str, Any]:
    """A pending task as the service shows it, or another one."""
    task = {
        "account_id": ACCOUNT,
        "arguments": ["4157125234"],
        "function": "normalize",
        "id": TASK_ID,
        "module": "knm_converters",
        "submitted_at": 63631324841,
    }
    return task | changes
