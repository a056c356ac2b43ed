"""One connection to the gateway: how long its owner may take, and what it hears if nobody understands it.

Changes aiohttp's protocol, which waits for heads and readers without end; made by the server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from typing_extensions import override

from kazoo_tasks.gateway.connection_limits import ConnectionLimits
from kazoo_tasks.gateway.envelope import NO_TOKEN, error_envelope
from kazoo_tasks.gateway.fault import UNREADABLE, UNSPECIFIED
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.wire.codec import encode

#: What a slow reader must have taken from one look at it to the next.
_LEAST_TAKEN: Final = 64 * 1024
#: Of a read that is chunks, so many bytes must come with each: a million of one byte take a second to put together.
_FLOOD_FROM: Final = 4_096
_LEAST_CHUNK: Final = 16
_log = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """See `aiohttp.web.RequestHandler`; what is private there and used here is held by this room's tests."""

    def __init__(
        self,
        manager: web.Server,
        connection_limits: ConnectionLimits,
        settings: GatewaySettings,
        **options: Any,
    ) -> None:
        """Belong to a server and count against its limits."""
        super().__init__(manager, **options)
        self.address = ""
        self._connection_limits = connection_limits
        self._settings = settings
        self._is_counted = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    def hang_up(self) -> None:
        """End it now, whatever is on the way."""
        self._is_counted = False
        if self.transport is not None:
            self.transport.abort()

    # --- what the transport calls ---

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self._is_counted = self._connection_limits.enter(self)
        if self._is_counted:
            self._await_head()
        else:
            self.hang_up()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._cancel(self._head_timer, self._write_timer)
        if self._is_counted:
            self._is_counted = False
            self._connection_limits.leave(self)
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if _is_flood(data) and self._is_chunked(data):
            _log.info("gateway.flood", bytes=len(data))
            self.force_close()
            return
        super().data_received(data)
        if self._messages:
            self._cancel(self._head_timer)
            self._head_timer = None
            self._connection_limits.is_busy(self)
        elif data and self._head_timer is None and self._waiter is not None:
            self._await_head()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel(self._write_timer)

    # --- what aiohttp calls ---

    @override
    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            if self._is_counted:
                self._connection_limits.is_idle(self)

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read, or was not foreseen, in our envelope; nothing of it is repeated."""
        if isinstance(exc, HttpProcessingError):
            _log.info("gateway.unreadable", reason=type(exc).__name__)
        else:
            _log.error("gateway.bug", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("expected to answer before anything is sent")
        fault = UNREADABLE if isinstance(exc, HttpProcessingError) else UNSPECIFIED
        envelope = error_envelope(NO_TOKEN, fault, os.urandom(16).hex())
        headers = {"Content-Type": "application/json", **fault.headers}
        response = web.Response(body=encode(envelope), status=fault.status, headers=headers)
        response.force_close()
        return response

    # --- patience ---

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._settings.head_timeout_s, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self._waiter is not None and not self._messages:
            self.force_close()

    def _look_later(self) -> None:
        self._cancel(self._write_timer)
        self._unsent = self._buffered()
        self._write_timer = self._loop.call_later(self._settings.write_look_s, self._look)

    def _look(self) -> None:
        if not self.writing_paused or self.transport is None:
            return
        if self._unsent - self._buffered() < _LEAST_TAKEN:
            _log.info("gateway.reader_too_slow", unsent=self._buffered())
            self.transport.abort()
        else:
            self._look_later()

    def _buffered(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def _is_chunked(self, data: bytes) -> bool:
        request = self._current_request
        return request._message.chunked if request is not None else b"chunked" in data[:_FLOOD_FROM].lower()  # noqa: SLF001 - no public way says so before the body is read

    @staticmethod
    def _cancel(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()


def _is_flood(data: bytes) -> bool:
    return len(data) >= _FLOOD_FROM and data.count(b"\r\n") * _LEAST_CHUNK > len(data)
