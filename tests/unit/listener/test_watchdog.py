"""The watchdog: a proof that requests arrive, and what is done without one."""

import asyncio

import pytest

from kazoo_tasks.listener.watchdog import Watch, Watchdog
from kazoo_tasks.model.errors import RequestsStopped
from kazoo_tasks.ports import Incoming
from kazoo_tasks.wire.reply import Replies
from support.post import SENDER, Crossbar, a_crossbar

#: So short that nothing is waited for in vain.
QUICK = Watch(interval_s=0.001, patience_s=0.005, strikes=3)


@pytest.fixture
async def crossbar() -> Crossbar:
    """A client of a service."""
    return await a_crossbar()


def a_watchdog(crossbar: Crossbar) -> Watchdog:
    """One that watches the service's bus."""
    return Watchdog(crossbar.service_bus, Replies(SENDER), lambda: crossbar.listener.arrived, QUICK)


async def test_a_canary_that_arrives_is_a_proof(crossbar: Crossbar) -> None:
    """And is settled like any request."""
    seen: asyncio.Queue[Incoming] = asyncio.Queue()
    await crossbar.bus.subscribe("tasks", "tasks.canary", seen.put_nowait)
    watching = asyncio.ensure_future(a_watchdog(crossbar).run())
    for _ in range(QUICK.strikes + 1):
        await asyncio.wait_for(seen.get(), 5)
    watching.cancel()

    assert crossbar.listener.counts["canary"] >= QUICK.strikes
    assert not crossbar.broker.dead_letters


async def test_after_so_many_strikes_the_process_must_end(crossbar: Crossbar) -> None:
    """Each but the last has the connection made anew."""
    await crossbar.service_bus.stop_consuming()
    losses: list[None] = []
    crossbar.service_bus.on_disconnect(lambda: losses.append(None))

    with pytest.raises(RequestsStopped, match="3 times in a row"):
        await asyncio.wait_for(a_watchdog(crossbar).run(), 5)
    assert len(losses) == QUICK.strikes - 1


async def test_while_the_broker_blocks_there_is_nothing_to_prove(crossbar: Crossbar) -> None:
    """No canary gets out, and a new connection would be as blocked; when it ends, strikes count again."""
    await crossbar.service_bus.stop_consuming()
    losses: list[None] = []
    crossbar.service_bus.on_disconnect(lambda: losses.append(None))
    crossbar.service_bus.blocked = "low on memory"
    watchdog = a_watchdog(crossbar)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watchdog.run(), 20 * QUICK.patience_s)
    assert (watchdog.strikes, losses) == (0, [])

    crossbar.service_bus.blocked = None
    with pytest.raises(RequestsStopped):
        await asyncio.wait_for(watchdog.run(), 5)


async def test_a_canary_that_is_blocked_on_its_way_is_no_strike(crossbar: Crossbar) -> None:
    """Nobody can tell whether it would have arrived."""
    await crossbar.service_bus.stop_consuming()
    sent: asyncio.Queue[Incoming] = asyncio.Queue()

    def block(_: Incoming) -> None:
        crossbar.service_bus.blocked = "low on memory"
        sent.put_nowait(_)

    await crossbar.bus.subscribe("tasks", "tasks.canary", block)
    watchdog = a_watchdog(crossbar)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watchdog.run(), 20 * QUICK.patience_s)
    assert (sent.qsize(), watchdog.strikes) == (1, 0)


async def test_without_a_connection_there_is_nothing_to_prove(crossbar: Crossbar) -> None:
    """The bus is at it already."""
    await crossbar.service_bus.close()
    watchdog = a_watchdog(crossbar)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watchdog.run(), 20 * QUICK.patience_s)

    assert watchdog.strikes == 0
