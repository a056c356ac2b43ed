"""The verbs of schedules: each request's reply.

Touches nothing itself; asks the schedules, for the listener.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.schedules import Schedules
from kazoo_tasks.wire import request as wire
from kazoo_tasks.wire.codec import encode

#: What a request is answered, as JSON text.
Answer = Callable[[Any], Awaitable[bytes]]


class ScheduleVerbs:
    """By the kind of the request; `requester` tells whose it is."""

    def __init__(self, schedules: Schedules, requester: Callable[[wire.Request], Requester]) -> None:
        """Ask these."""
        self._schedules = schedules
        self._requester = requester
        self.answers: dict[type[wire.Request], Answer] = {
            wire.ScheduleListRequest: self._list,
            wire.ScheduleReadRequest: self._read,
            wire.ScheduleAddRequest: self._add,
            wire.ScheduleChangeRequest: self._change,
            wire.ScheduleRunRequest: self._run,
            wire.ScheduleRemoveRequest: self._remove,
        }

    async def _list(self, request: wire.ScheduleListRequest) -> bytes:
        return encode(
            [self._schedules.shown(each, times=1) for each in self._schedules.list(request.account_id)]
        )

    async def _read(self, request: wire.ScheduleReadRequest) -> bytes:
        return encode(self._schedules.shown(self._schedules.get(request.schedule_id, request.account_id)))

    async def _add(self, request: wire.ScheduleAddRequest) -> bytes:
        return await self._schedules.add(self._requester(request), request.account_id, request.schedule)

    async def _change(self, request: wire.ScheduleChangeRequest) -> bytes:
        requester, account_id = self._requester(request), request.account_id
        return await self._schedules.change(requester, account_id, request.schedule_id, request.schedule)

    async def _run(self, request: wire.ScheduleRunRequest) -> bytes:
        requester = self._requester(request)
        return await self._schedules.run_now(requester, request.account_id, request.schedule_id)

    async def _remove(self, request: wire.ScheduleRemoveRequest) -> bytes:
        requester = self._requester(request)
        return await self._schedules.remove(requester, request.account_id, request.schedule_id)
