"""The door for health probes beside a service that has no gateway.

Speaks the little HTTP that probes need over asyncio's streams, since aiohttp would be 8 MB in every service; made by
assembly.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import structlog

from kazoo_tasks.gateway.health import METHODS, PATHS, HealthAnswer, answer_probe
from kazoo_tasks.gateway.listening import listen, port_of, rejection
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.ports import Health

_MAX_HEAD: Final = 8_192
_NOT_FOUND: Final = HealthAnswer(HTTPStatus.NOT_FOUND, b"")
_WRONG_METHOD: Final = HealthAnswer(HTTPStatus.METHOD_NOT_ALLOWED, b"")
_BAD_REQUEST: Final = HealthAnswer(HTTPStatus.BAD_REQUEST, b"")
_log = structlog.get_logger(__name__)


class HealthDoor:
    """Listens from `start` to `close`; a connection is for one request."""

    def __init__(self, settings: GatewaySettings, health: Health) -> None:
        """Tell this health."""
        self._settings = settings
        self._health = health
        self._listening: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens: the real port, if any free one was asked for."""
        return port_of(self._listening) if self._listening else self._settings.port

    async def start(self) -> None:
        """Answer probes from here on.

        Raises:
            CannotStart: The address cannot be listened on.
        """
        self._listening = await listen(self._settings, self._connection, "health")

    async def close(self) -> None:
        """Accept nothing more, and hang up: a probe has nothing to lose."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        listening.close()
        for visit in self._visits:
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits)
        await listening.wait_closed()

    def _connection(self) -> asyncio.BaseProtocol:
        if len(self._visits) >= self._settings.max_connections:
            return rejection()
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(_MAX_HEAD), self._enter)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(self._visit(reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._settings.keepalive_s):
                writer.write(await self._answered(reader))
                await writer.drain()
        except (OSError, EOFError):
            pass  # It asked nothing in time, or went away: there is nobody to tell.
        except Exception as problem:  # noqa: BLE001 - the boundary: a bug is told, and the next probe is answered
            _log.error("health.bug", exc_info=problem)
        finally:
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, version = head.partition(b"\r\n")[0].decode("ascii").split(" ")
            path = urlsplit(target).path
        except (asyncio.LimitOverrunError, ValueError):
            return _response(_BAD_REQUEST)
        if not version.startswith("HTTP/1."):
            return _response(_BAD_REQUEST)
        if path not in PATHS:
            return _response(_NOT_FOUND)
        if method not in METHODS:
            return _response(_WRONG_METHOD)
        return _response(await answer_probe(self._health, path), has_body=method != "HEAD")


def _response(answer: HealthAnswer, *, has_body: bool = True) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Length: {len(answer.body)}",
    ]
    if answer is _WRONG_METHOD:
        lines.append(f"Allow: {', '.join(METHODS)}")
    if answer.body:
        lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode() + (answer.body if has_body else b"")
