"""The fork server that children come from now, and those before it: each keeps to the code that it has imported.

Touches processes through their clients, each in a thread of its own; used by pool.supervisor.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kazoo_tasks.model.errors import CannotReload
from kazoo_tasks.pool.child import Brief
from kazoo_tasks.pool.fork_client import Child, ForkServerClient
from kazoo_tasks.pool.output import NO_SLOT, Output
from kazoo_tasks.pool.probe import probe
from kazoo_tasks.pool.settings import PoolSettings


class Generation:
    """One fork server and the children that came from it.

    Attributes:
        children: How many there are, or are about to be.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: PoolSettings) -> None:
        """Start nothing yet."""
        self._loop = loop
        self._settings = settings
        self._client = ForkServerClient(settings.modules, self._hear)
        # Forking blocks for some milliseconds, and for as long as the task modules' import at the first time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pool-fork")
        self._output: Output | None = None
        self.children = 0

    async def fork(self, slot: int) -> Child:
        """Start a child.

        Raises:
            OSError, EOFError: There is no fork server to be had, or it cannot fork.
        """
        brief = Brief(slot, self._settings.modules, self._settings.max_result_bytes)
        self.children += 1
        try:
            return await self._loop.run_in_executor(self._thread, self._client.fork, brief)
        except BaseException:
            self.children -= 1
            raise

    def hang_up(self) -> None:
        """Fork no more, and have a fork that is under way fail at once."""
        self._client.hang_up()

    async def close(self) -> None:
        """End the fork server; to be called when it has no child any more, and no fork is under way."""
        await self._loop.run_in_executor(self._thread, self._client.close)
        self._thread.shutdown()
        self._leave()

    def _hear(self, output_fd: int) -> None:
        self._loop.call_soon_threadsafe(self._read, output_fd)

    def _read(self, output_fd: int) -> None:
        self._leave()
        self._output = Output(self._loop, output_fd, NO_SLOT)

    def _leave(self) -> None:
        if self._output is not None:
            self._output.close()
            os.close(self._output.fd)
            self._output = None


class ForkServers:
    """Children come from the present generation; one before it ends with the last of its children."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: PoolSettings) -> None:
        """Start nothing yet."""
        self._new: Callable[[], Generation] = lambda: Generation(loop, settings)
        self._loop = loop
        self._settings = settings
        self._present = self._new()
        self._tried: Generation | None = None
        self._prepared: Generation | None = None
        self._former: set[Generation] = set()
        self._ends: set[asyncio.Task[None]] = set()

    @property
    def present(self) -> Generation:
        """Where children come from."""
        return self._present

    async def prepare(self) -> None:
        """Have another generation that has imported the task modules afresh.

        Raises:
            CannotReload: They cannot be imported, or no child comes up.
        """
        self.discard()
        self._tried = generation = self._new()
        try:
            why = await self._try(generation)
        except (OSError, EOFError) as error:
            why = f"no child could be forked: {type(error).__name__}: {error}"
        except BaseException:
            self.discard()
            raise
        if self._tried is not generation:
            why = "the pool is closing"
        elif why is None:
            self._tried, self._prepared = None, generation
            return
        self.discard()
        raise CannotReload(why)

    def discard(self) -> None:
        """Let go of what was prepared, or is about to be."""
        tried, self._tried = self._tried, None
        if tried is not None:
            # A module may never come to the end of its import.
            tried.hang_up()
            self._end(tried)
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            self._end(prepared)

    def switch(self) -> None:
        """Have children come from what was prepared, from here on."""
        if self._prepared is None:
            message = "expected a reload that was prepared, got none"
            raise CannotReload(message)
        former, self._present, self._prepared = self._present, self._prepared, None
        self._former.add(former)
        self._end_if_done(former)

    def left(self, generation: Generation) -> None:
        """Take it that a child of a generation is gone."""
        generation.children -= 1
        self._end_if_done(generation)

    def hang_up(self) -> None:
        """Fork no more."""
        for generation in (self._present, *self._former):
            generation.hang_up()

    async def close(self) -> None:
        """End all; to be called when no fork is under way."""
        self.discard()
        former, self._former = self._former, set()
        for generation in former:
            self._end(generation)
        if self._ends:
            await asyncio.wait(self._ends)
        await self._present.close()

    async def _try(self, generation: Generation) -> str | None:
        child = await generation.fork(NO_SLOT)
        try:
            return await probe(self._loop, child, self._settings.start_timeout_s)
        finally:
            child.let_go()
            generation.children -= 1

    def _end_if_done(self, generation: Generation) -> None:
        if generation in self._former and not generation.children:
            self._former.discard(generation)
            self._end(generation)

    def _end(self, generation: Generation) -> None:
        end = self._loop.create_task(generation.close(), name="pool-fork-server-end")
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
