"""The program `kazoo-tasks service`: a service, with a door for health probes.

Touches what it opens; called by the CLI.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kazoo_tasks.assembly.door import build_bus, is_shared, opened_bus
from kazoo_tasks.assembly.ending import supervised
from kazoo_tasks.assembly.health import Checkup, bus_check, starting
from kazoo_tasks.assembly.service import opened_service
from kazoo_tasks.gateway.health_door import HealthDoor
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.ports import Bus
from kazoo_tasks.settings import Settings


async def run(settings: Settings) -> None:
    """Be the service until a signal comes.

    Raises:
        CannotStart: With one sentence.
        StoreBroken, RequestsStopped: It cannot go on.
    """
    if not is_shared(settings):
        raise CannotStart(
            "nobody could reach a service with a bus of its own; use `kazoo-tasks run` for memory://"
        )
    bus = build_bus(settings)
    async with (
        supervised() as ending,
        _health_door(settings, bus) as health,
        opened_bus(bus, ending.unless_asked(bus.open(settings.broker_wait_s))),
        opened_service(settings, bus, ending.hurry) as service,
    ):
        health.add(service.checks())
        ending.on_hangup(service.reload_asked)
        await ending.come(service.broken)


@asynccontextmanager
async def _health_door(settings: Settings, bus: Bus) -> AsyncIterator[Checkup]:
    """Answers probes from the first moment to the last: while the broker is waited for, and while tasks end."""
    health = Checkup({"bus": bus_check(bus), "service": starting})
    door = HealthDoor(GatewaySettings(host=settings.health_host, port=settings.health_port), health)
    await door.start()
    try:
        yield health
    finally:
        await door.close()
