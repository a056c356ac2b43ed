"""The gateway as something that is started and closed: a socket, its connections.

Uses aiohttp's low-level server, without its router and middlewares; made by assembly.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import structlog
from aiohttp import web

from kazoo_tasks.gateway.connection import Connection
from kazoo_tasks.gateway.connection_limits import ConnectionLimits
from kazoo_tasks.gateway.identity import Authenticator
from kazoo_tasks.gateway.listening import listen, port_of, rejection
from kazoo_tasks.gateway.pipeline import Pipeline
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.ports import Caller, Health

#: How long what is left of a refused body is read, so that its sender gets to see the answer.
_LINGER_S: Final = 2.0
_log = structlog.get_logger(__name__)


class Gateway:
    """Listens from `start` to `close`; closing it twice or before the start does no harm."""

    def __init__(
        self, settings: GatewaySettings, caller: Caller, authenticator: Authenticator, health: Health
    ) -> None:
        """Take an open caller, which stays the giver's to close."""
        self._settings = settings
        self._pipeline = Pipeline(caller, authenticator, health, settings)
        self._connection_limits = ConnectionLimits(settings)
        self._http: web.Server | None = None
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens: the real port, if any free one was asked for."""
        return port_of(self._listening) if self._listening else self._settings.port

    async def start(self) -> None:
        """Accept requests from here on.

        Raises:
            CannotStart: The address cannot be listened on.
        """
        self._http = web.Server(self._pipeline)
        self._listening = await listen(self._settings, self._connection, "gateway")

    async def close(self) -> None:
        """Accept nothing more, let requests under way end within the settings' patience, then hang up."""
        listening, self._listening = self._listening, None
        http, self._http = self._http, None
        if listening is not None:
            listening.close()
        if http is not None:
            http.pre_shutdown()
            await http.shutdown(self._settings.shutdown_s)
        if listening is not None:
            await listening.wait_closed()

    def _connection(self) -> asyncio.BaseProtocol:
        if self._http is None:
            return rejection()
        return Connection(
            self._http,
            self._connection_limits,
            self._settings,
            loop=asyncio.get_running_loop(),
            access_log=None,
            logger=_LOGGER,
            # A body is unpacked by the codec, which knows when to stop.
            auto_decompress=False,
            keepalive_timeout=self._settings.keepalive_s,
            lingering_time=_LINGER_S,
        )


def _own_logger() -> logging.Logger:
    """What aiohttp complains to about itself."""
    logger = logging.Logger(__name__)  # noqa: LOG001 - outside the tree, so that nobody else hears it
    logger.addFilter(_retell)
    return logger


def _retell(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    _log.error("gateway.bug", reason=record.getMessage(), exc_info=error)
    return False


_LOGGER: Final = _own_logger()
