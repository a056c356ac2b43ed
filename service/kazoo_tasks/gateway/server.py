"""The gateway, and the door for health probes, as something that is started and closed: a socket, its connections.

Uses aiohttp's low-level server, without its router and middlewares; made by assembly.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final, cast

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from kazoo_tasks.gateway.health import HealthAnswer
from kazoo_tasks.gateway.identity import Authenticator
from kazoo_tasks.gateway.pipeline import Pipeline
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.ports import Caller, Health

_BACKLOG: Final = 1_024
#: How long what is left of a refused body is read, so that its sender gets to see the answer.
_LINGER_S: Final = 5.0
_log = structlog.get_logger(__name__)


Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Door:
    """Listens from `start` to `close`; closing it twice or before the start does no harm."""

    def __init__(self, settings: GatewaySettings, answer: Answer, name: str) -> None:
        """Answer every request with `answer`, which never raises; `name` is for the log."""
        self._settings = settings
        self._answer = answer
        self._name = name
        self._http: web.Server | None = None
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens: the real port, if any free one was asked for."""
        if self._listening is None or not self._listening.sockets:
            return self._settings.port
        return cast("int", self._listening.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Accept requests from here on.

        Raises:
            CannotStart: The address cannot be listened on.
        """
        host, port = self._settings.host, self._settings.port
        # A body is unpacked by the codec, which knows when to stop.
        self._http = web.Server(
            self._answer,
            access_log=None,
            logger=_own_logger(),
            auto_decompress=False,
            keepalive_timeout=self._settings.keepalive_s,
            lingering_time=_LINGER_S,
        )
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                self._connection, host, port, backlog=_BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise CannotStart(f"cannot listen on {host}:{port}: {_reason(error)}") from error
        _log.info(f"{self._name}.listening", host=host, port=self.port)

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
        http = self._http
        if http is None or len(http.connections) >= self._settings.max_connections:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(), _hang_up)
        return http()


class Gateway(Door):
    """The REST door."""

    def __init__(
        self, settings: GatewaySettings, caller: Caller, authenticator: Authenticator, health: Health
    ) -> None:
        """Take an open caller, which stays the giver's to close."""
        super().__init__(
            settings, Pipeline(caller, authenticator, health, settings.body_timeout_s), "gateway"
        )


class HealthDoor(Door):
    """The door for probes beside a service that has no gateway."""

    def __init__(self, settings: GatewaySettings, health: Health) -> None:
        """Tell this health."""
        super().__init__(settings, HealthAnswer(health), "health")


def _own_logger() -> logging.Logger:
    """What aiohttp complains to; it would repeat heads that it cannot read, tokens and all."""
    logger = logging.Logger(__name__)  # noqa: LOG001 - outside the tree, so that nobody else hears it
    logger.addFilter(_retell)
    return logger


def _retell(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        _log.info("gateway.unreadable", reason=type(error).__name__)
    else:
        _log.error("gateway.bug", reason=record.getMessage(), exc_info=error)
    return False


def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def _reason(error: OSError | OverflowError) -> str:
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return str(getattr(error, "strerror", None) or error).lower()
