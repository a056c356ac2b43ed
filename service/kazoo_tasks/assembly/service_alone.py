"""The program `kazoo-tasks service`: a service, with a door for health probes.

Touches what it opens; called by the CLI.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kazoo_tasks.assembly.door import is_shared, opened_bus
from kazoo_tasks.assembly.ending import supervised
from kazoo_tasks.assembly.health import Checkup
from kazoo_tasks.assembly.service import Service, opened_service
from kazoo_tasks.gateway.health_door import HealthDoor
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.model.errors import CannotStart
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
    async with (
        supervised() as ending,
        opened_bus(settings) as bus,
        opened_service(settings, bus, ending.hurry) as service,
        _health_door(settings, service),
    ):
        await ending.come(service.broken)


@asynccontextmanager
async def _health_door(settings: Settings, service: Service) -> AsyncIterator[HealthDoor]:
    listening = GatewaySettings(host=settings.health_host, port=settings.health_port)
    door = HealthDoor(listening, Checkup(service.checks()))
    await door.start()
    try:
        yield door
    finally:
        await door.close()
