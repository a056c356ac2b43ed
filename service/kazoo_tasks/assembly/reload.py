"""The task modules loaded anew, on demand: all of it or nothing.

Touches the import system and the pool; asked by the listener and by SIGHUP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.errors import CannotReload, CannotStart
from kazoo_tasks.ports import Pool

_log = structlog.get_logger(__name__)


class Reload:
    """Children first, then the catalogue, and both in one breath: nobody sees the one without the other."""

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        rebuild: Callable[[], Catalogue],
        review: Callable[[], Awaitable[None]],
    ) -> None:
        """`rebuild` imports the modules anew or raises `CannotStart`; `review` looks again at what waits."""
        self._pool = pool
        self._catalogue = catalogue
        self._rebuild = rebuild
        self._review = review
        # Code that is changed while it is loaded is loaded once more.
        self._one_at_a_time = asyncio.Lock()
        self._is_closed = False

    async def __call__(self) -> Mapping[str, str]:
        """Load them; gives the version of each, by the last part of its path.

        Raises:
            CannotReload: One cannot be imported, or offers nothing; all is as it was.
        """
        async with self._one_at_a_time:
            try:
                await self._load()
            except CannotReload as error:
                _log.error("service.not_reloaded", reason=str(error))
                raise
        versions = self._catalogue.versions
        _log.info("service.reloaded", versions=dict(versions))
        return versions

    def close(self) -> None:
        """Load nothing more, and give up what is being loaded."""
        self._is_closed = True
        self._pool.discard_reload()

    async def _load(self) -> None:
        if self._is_closed:
            message = "the service is stopping"
            raise CannotReload(message)
        await self._pool.prepare_reload()
        try:
            catalogue = await asyncio.to_thread(self._rebuild)
        except CannotStart as error:
            self._pool.discard_reload()
            raise CannotReload(str(error)) from error
        self._catalogue.become(catalogue)
        self._pool.reload()
        await self._review()
