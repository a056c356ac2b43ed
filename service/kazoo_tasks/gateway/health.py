"""Health for whoever supervises: is the process alive, and can it do its work.

Uses aiohttp; answered by the gateway's pipeline, and by a door of its own beside a service without gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from kazoo_tasks.ports import Health
from kazoo_tasks.wire.codec import encode

_LIVE: Final = "/health/live"
_READY: Final = "/health/ready"
#: Asked by probes, which have no token; nothing here tells of accounts or tasks.
PATHS: Final = (_LIVE, _READY)


class HealthAnswer:
    """What a probe gets: 200, or 503 with the parts that are unwell and why."""

    def __init__(self, health: Health) -> None:
        """Tell this health."""
        self._health = health

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one probe."""
        if request.path == _READY:
            return _response(await self._health.unwell())
        return _response({}) if request.path == _LIVE else web.Response(status=404)


def _response(unwell: Mapping[str, str]) -> web.Response:
    body = encode({"status": "unwell" if unwell else "ok", "unwell": unwell})
    return web.Response(body=body, status=503 if unwell else 200, content_type="application/json")
