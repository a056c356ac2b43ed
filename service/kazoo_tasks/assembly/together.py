"""The program `kazoo-tasks run`: service and gateway in one process.

Touches what it opens; called by the CLI.
"""

from kazoo_tasks.assembly.door import build_bus, opened_bus
from kazoo_tasks.assembly.ending import supervised
from kazoo_tasks.assembly.gateway import build_authenticator, closing, opened_gateway
from kazoo_tasks.assembly.health import starting
from kazoo_tasks.assembly.service import opened_service
from kazoo_tasks.settings import Settings


async def run(settings: Settings) -> None:
    """Be both until a signal comes.

    Raises:
        CannotStart: With one sentence.
        StoreBroken, RequestsStopped: It cannot go on.
    """
    authenticator = build_authenticator(settings)
    bus = build_bus(settings)
    async with (
        supervised() as ending,
        opened_gateway(settings, bus, authenticator, {"service": starting}) as (gateway, health),
        opened_bus(bus, ending.unless_asked(bus.open(settings.broker_wait_s))),
        opened_service(settings, bus, ending.hurry) as service,
        closing(gateway),
    ):
        health.add(service.checks())
        ending.on_hangup(service.reload_asked)
        await ending.come(service.broken)
