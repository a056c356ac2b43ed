"""Loops that live as long as the service: what one bad turn does."""

import asyncio

import pytest

from kazoo_tasks.assembly import loop as module
from kazoo_tasks.assembly.loop import Loop
from kazoo_tasks.model.errors import RequestsStopped, StoreBroken


class Work:
    """Fails as often as it is told to, and then goes on."""

    def __init__(self, *errors: Exception) -> None:
        """Fail with these, one after the other."""
        self.errors = list(errors)
        self.going_on = asyncio.Event()

    async def __call__(self) -> None:
        """Go on until cancelled, or fail."""
        if self.errors:
            raise self.errors.pop(0)
        self.going_on.set()
        await asyncio.Event().wait()


async def test_a_loop_that_fails_is_begun_again_and_tells_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health names it, and why; what it is for goes on."""
    monkeypatch.setattr(module, "_PAUSE_S", 0)
    work = Work(ValueError("one"), TypeError("two"))
    loop = Loop("announcer", work)
    assert loop.unwell() is None

    run = asyncio.ensure_future(loop.run())
    await work.going_on.wait()
    run.cancel()

    assert loop.failures == 2
    assert loop.unwell() == "announcer failed, 2 times until now: TypeError('two')"


async def test_health_forgets_a_failure_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays counted."""
    monkeypatch.setattr(module, "_PAUSE_S", 0)
    monkeypatch.setattr(module, "_TOLD_S", -1)
    work = Work(ValueError("one"))
    loop = Loop("upkeep", work)

    run = asyncio.ensure_future(loop.run())
    await work.going_on.wait()
    run.cancel()

    assert (loop.failures, loop.unwell()) == (1, None)


@pytest.mark.parametrize("error", [RequestsStopped("why"), StoreBroken("why")])
async def test_what_must_end_the_process_ends_the_loop(error: Exception) -> None:
    """And is not called a bug."""
    loop = Loop("watchdog", Work(error))

    with pytest.raises(type(error)):
        await loop.run()
    assert loop.failures == 0
