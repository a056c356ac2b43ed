"""The program `kazoo-tasks gateway`: a gateway and nothing else.

Touches what it opens; called by the CLI.
"""

from kazoo_tasks.assembly.door import build_bus, is_shared, opened_bus
from kazoo_tasks.assembly.ending import supervised
from kazoo_tasks.assembly.gateway import build_authenticator, closing, opened_gateway
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.settings import Settings


async def run(settings: Settings) -> None:
    """Be a gateway until a signal comes.

    Raises:
        CannotStart: With one sentence.
    """
    if not is_shared(settings):
        raise CannotStart("a gateway alone reaches nobody over memory://; use `kazoo-tasks run`")
    authenticator = build_authenticator(settings)
    bus = build_bus(settings)
    async with (
        supervised() as ending,
        opened_gateway(settings, bus, authenticator) as (gateway, _),
        opened_bus(bus, ending.unless_asked(bus.open(settings.broker_wait_s))),
        closing(gateway),
    ):
        await ending.come()
