"""The programs: service, gateway, or both; each runs until a signal or a broken store ends it.

Touches signals; called by the CLI.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kazoo_tasks.assembly.door import (
    build_authenticator,
    build_bus,
    build_journal,
    gateway_settings,
    health_settings,
    is_shared,
    sender_of,
)
from kazoo_tasks.assembly.health import Check, Checkup, gateway_checks
from kazoo_tasks.assembly.service import Doors, Service
from kazoo_tasks.assembly.systemd import Notifier
from kazoo_tasks.bus.caller import BusCaller
from kazoo_tasks.gateway.identity import Authenticator
from kazoo_tasks.gateway.server import Gateway, HealthDoor
from kazoo_tasks.model.errors import CannotStart, KazooTasksError
from kazoo_tasks.ports import Bus
from kazoo_tasks.settings import Settings, load_supervisor

Program = Callable[[Settings], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Ending:
    """What the operator's signals mean: the first asks for an end, the second for haste."""

    notifier: Notifier
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """Take the signals over from Python."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    async def come(self, broken: asyncio.Future[KazooTasksError] | None = None) -> None:
        """Say that everything is ready, and wait until it is to end.

        Raises:
            KazooTasksError: What `broken` came to: nothing is to be waited for any more.
        """
        self.notifier.tell("READY=1")
        asked: asyncio.Future[Any] = asyncio.ensure_future(self.asked.wait())
        await asyncio.wait([asked, broken] if broken else [asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        self.notifier.tell("STOPPING=1")
        if broken and broken.done():
            self.hurry.set()
            raise broken.result()

    def _signalled(self) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()


async def run_service(settings: Settings) -> None:
    """Be the service until a signal comes.

    Raises:
        CannotStart: With one sentence.
        StoreBroken, RequestsStopped: It cannot go on.
    """
    if not is_shared(settings):
        raise CannotStart(
            "nobody could reach a service with a bus of its own; use `kazoo-tasks run` for memory://"
        )
    async with (
        _supervised() as ending,
        _bus(settings) as bus,
        _service(settings, bus, ending) as service,
        _health_door(settings, service),
    ):
        await ending.come(service.broken)


async def run_gateway(settings: Settings) -> None:
    """Be a gateway until a signal comes.

    Raises:
        CannotStart: With one sentence.
    """
    if not is_shared(settings):
        raise CannotStart("a gateway alone reaches nobody over memory://; use `kazoo-tasks run`")
    authenticator = build_authenticator(settings)
    async with _supervised() as ending, _bus(settings) as bus, _gateway(settings, bus, authenticator, {}):
        await ending.come()


async def run_both(settings: Settings) -> None:
    """Be both until a signal comes.

    Raises:
        CannotStart: With one sentence.
        StoreBroken, RequestsStopped: It cannot go on.
    """
    authenticator = build_authenticator(settings)
    async with (
        _supervised() as ending,
        _bus(settings) as bus,
        _service(settings, bus, ending) as service,
        _gateway(settings, bus, authenticator, service.checks()),
    ):
        await ending.come(service.broken)


@asynccontextmanager
async def _supervised() -> AsyncIterator[Ending]:
    """Listen to the operator, and tell systemd that the event loop turns, until the very end."""
    ending = Ending(Notifier(load_supervisor()))
    ending.listen()
    alive = asyncio.create_task(ending.notifier.live())
    try:
        yield ending
    finally:
        alive.cancel()


@asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[Bus]:
    bus = build_bus(settings)
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def _service(settings: Settings, bus: Bus, ending: Ending) -> AsyncIterator[Service]:
    service = Service(settings, Doors(bus, build_journal(settings)), sender_of(settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop(ending.hurry)


@asynccontextmanager
async def _gateway(
    settings: Settings, bus: Bus, authenticator: Authenticator, checks: dict[str, Check]
) -> AsyncIterator[Gateway]:
    caller = BusCaller(bus, sender_of(settings), settings.amqp_timeout_s)
    health = Checkup({**gateway_checks(bus, caller), **checks})
    gateway = Gateway(gateway_settings(settings), caller, authenticator, health)
    await caller.open()
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


@asynccontextmanager
async def _health_door(settings: Settings, service: Service) -> AsyncIterator[HealthDoor]:
    door = HealthDoor(health_settings(settings), Checkup(service.checks()))
    await door.start()
    try:
        yield door
    finally:
        await door.close()
