"""What came again: a message that the service ended with is suspected, and its neighbours are not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from structlog.testing import capture_logs

from kazoo_tasks.bus.memory import MemoryBroker
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.store.memory import MemoryJournal
from kazoo_tasks.wire.codec import encode
from support.build import ACCOUNT, a_message
from support.core import Office, turn
from support.post import Crossbar

NOTHING = a_message("lookup_req")


@dataclass(eq=False)
class Handed:
    """A message that was handed over, and what became of it."""

    body: bytes
    redelivered: bool = True
    routing_key: str = "tasks.lookup"
    content_encoding: str | None = None
    ends: list[str] = field(default_factory=list)

    async def ack(self) -> None:
        self.ends.append("acked")

    async def reject(self) -> None:
        self.ends.append("rejected")


async def start(journal: MemoryJournal) -> Crossbar:
    """The next start of a service with this journal."""
    return await Crossbar(MemoryBroker(), await Office(journal).open()).open()


async def end(service: Crossbar, delivery: Handed) -> str:
    """What becomes of a message."""
    await service.listener.handle(delivery)
    await service.office.settled()
    (said,) = delivery.ends
    return said


def adding() -> Handed:
    """A request that has to be written."""
    fields = {"Account_ID": ACCOUNT, "Module": "timer", "Function": "sleep", "Arguments": [1]}
    return Handed(encode(a_message("add_req", **fields)), redelivered=False, routing_key="tasks.add")


async def killed_by(journal: MemoryJournal, body: bytes) -> None:
    """A start that takes a message again, and ends before it is answered."""
    service = await start(journal)
    service.listener._open = lambda _: asyncio.sleep(0)  # type: ignore[method-assign,assignment]  # the end of it
    await service.listener.handle(Handed(body))
    await service.office.settled()


async def test_a_message_that_three_starts_ended_with_is_a_dead_letter() -> None:
    """It would be the end of the fourth as well; its reason is logged. The first was no repetition."""
    journal, body = MemoryJournal(), encode(NOTHING)
    for _ in range(2):
        await killed_by(journal, body)
    with capture_logs() as logs:
        assert await end(await start(journal), Handed(body)) == "rejected"

    (dead_lettered,) = [line for line in logs if line["event"] == "listener.dead_lettered"]
    assert dead_lettered["reason"] == "its last three deliveries ended with the service"


async def test_what_is_answered_each_time_is_never_suspected() -> None:
    """However many starts it came to again: none of them ended with it."""
    journal, body = MemoryJournal(), encode(NOTHING)
    assert [await end(await start(journal), Handed(body)) for _ in range(5)] == ["acked"] * 5
    await killed_by(journal, body)
    assert [await end(await start(journal), Handed(body)) for _ in range(3)] == ["acked"] * 3


async def test_a_connection_that_is_lost_often_makes_nobody_suspect() -> None:
    """The service did not end."""
    service, body = await start(MemoryJournal()), encode(NOTHING)

    assert [await end(service, Handed(body)) for _ in range(9)] == ["acked"] * 9


async def test_a_suspect_is_alone() -> None:
    """What is in hand is finished first, and what comes meanwhile waits."""
    journal, body = MemoryJournal(), encode(NOTHING)
    await killed_by(journal, body)
    service = await start(journal)
    commit, held = service.office.journal.commit, asyncio.get_running_loop().create_future()
    service.office.journal.commit = lambda *_: held  # type: ignore[method-assign]  # to hold it up
    before, suspect, after = adding(), Handed(body), Handed(body, redelivered=False)
    await service.listener.handle(before)
    await service.listener.handle(suspect)
    await turn(lambda: service.listener._gate.shut)
    await service.listener.handle(after)
    for _ in range(20):  # more than any of them needs
        await asyncio.sleep(0)
    assert (before.ends, suspect.ends, after.ends) == ([], [], [])

    service.office.journal.commit = commit  # type: ignore[method-assign]  # as it was
    held.set_result(None)
    await turn(lambda: after.ends)
    assert (before.ends, suspect.ends, after.ends) == (["acked"], ["acked"], ["acked"])


async def test_a_kill_counts_against_what_was_taken_only() -> None:
    """Suspects that waited for their turn are as innocent as before."""
    journal, body = MemoryJournal(), encode(NOTHING)
    await killed_by(journal, body)
    service = await start(journal)
    service.listener._gate.enter()  # something is in hand that does not end
    waits = Handed(body)
    await service.listener.handle(waits)
    for _ in range(20):  # more than it would need
        await asyncio.sleep(0)
    assert not waits.ends

    assert await end(await start(journal), Handed(body)) == "acked"


async def test_a_store_that_takes_nothing_counts_nothing() -> None:
    """The message is dealt with all the same."""
    journal = MemoryJournal()
    for _ in range(5):
        service = await start(journal)
        journal.fail_next(StoreUnavailable())
        assert await end(service, Handed(encode(NOTHING))) == "acked"
