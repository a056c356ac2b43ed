"""Health for whoever supervises: is the process alive, and can it do its work.

Knows of HTTP only the statuses; used by the gateway's pipeline, and by the door of a service without gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from kazoo_tasks.ports import Health
from kazoo_tasks.wire.codec import encode

_LIVE: Final = "/health/live"
_READY: Final = "/health/ready"
#: Asked by probes, which have no token; nothing here tells of accounts or tasks.
PATHS: Final = (_LIVE, _READY)
METHODS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What a probe gets: 200, or 503 with the parts that are unwell and why, as JSON."""

    status: HTTPStatus
    body: bytes


async def answer_probe(health: Health, path: str) -> HealthAnswer:
    """The answer at one of the paths."""
    unwell: Mapping[str, str] = await health.unwell() if path == _READY else {}
    body = encode({"status": "unwell" if unwell else "ok", "unwell": unwell})
    return HealthAnswer(HTTPStatus.SERVICE_UNAVAILABLE if unwell else HTTPStatus.OK, body)
