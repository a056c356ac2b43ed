"""Message, verb, reply, ack: the only place where acks are decided.

Touches the bus through its port; asks the handlers. Called by the bus, once for each request that arrives.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.background import BackgroundTasks
from kazoo_tasks.core.handlers import Handlers
from kazoo_tasks.core.order import Draft, Order, Reading, When
from kazoo_tasks.core.registry import Query
from kazoo_tasks.core.schedules import Schedules
from kazoo_tasks.listener.deed import deed_of
from kazoo_tasks.listener.gate import Gate
from kazoo_tasks.listener.schedule import Answer, ScheduleVerbs
from kazoo_tasks.model.audit import AuditQuery
from kazoo_tasks.model.errors import (
    BadRequest,
    BusUnavailable,
    Corrupt,
    Refused,
    StoreBroken,
    StoreUnavailable,
)
from kazoo_tasks.model.task import Status
from kazoo_tasks.ports import Bus, Delivery, Outgoing, SnapshotInfo
from kazoo_tasks.wire import request as wire
from kazoo_tasks.wire.attempt import attempts_text
from kazoo_tasks.wire.audit import audit_object
from kazoo_tasks.wire.body import task_object, task_text, tasks_text
from kazoo_tasks.wire.codec import JsonText, encode, parsed_object, unpacked
from kazoo_tasks.wire.header import is_address, reply_to
from kazoo_tasks.wire.page import AUDIT, start_key, start_seq
from kazoo_tasks.wire.reply import Replies
from kazoo_tasks.wire.task_log import entry

#: A request that is no valid one is shown to its sender only if it is short.
_ECHO_BYTES: Final = 16_384
_PREVIEW_BYTES: Final = 200
_REASON_CHARACTERS: Final = 1_000
#: Packed bytes above which they are unpacked beside the loop, which they might hold for more than a few milliseconds.
_MUCH_GZIP_BYTES: Final = 4_096
#: In so many starts of the service a message that was delivered before is taken; in the last of them alone.
_MOST_TIMES: Final = 2
_log = structlog.get_logger(__name__)

_Verb = Callable[[Any], Awaitable[bytes]]


class Operations(NamedTuple):
    """What can be asked for beside what is about tasks.

    Attributes:
        snapshot: Takes one of the store.
        reload: Loads the task modules anew; gives their versions.
        schedules: What is started again and again.
    """

    snapshot: Callable[[], Awaitable[SnapshotInfo]]
    reload: Callable[[], Awaitable[Mapping[str, str]]]
    schedules: Schedules


class Listener:
    """Answers requests. A message is acked after its effect is on disk and its reply is sent, and in no other case.

    Reads are answered at once; what may wait goes on as an errand, since the bus may cancel what it calls.
    """

    def __init__(
        self,
        bus: Bus,
        handlers: Handlers,
        replies: Replies,
        background: BackgroundTasks,
        operations: Operations,
    ) -> None:
        """Answer over `bus` with `replies`."""
        self._bus = bus
        self._handlers = handlers
        self._replies = replies
        self._background = background
        self._operations = operations
        self._reads: dict[type[wire.Request], _Verb] = {
            wire.LookupRequest: self._look_up,
            wire.ReadRequest: self._read,
            wire.ListRequest: self._list,
            wire.PoolRequest: self._pool,
            wire.BreakerRequest: self._breaker,
            wire.CanaryRequest: self._hear,
        }
        self._changes: dict[type[wire.Request], _Verb] = {
            # They may wait, as those below do.
            wire.StackRequest: self._stack,
            wire.LogRequest: self._log,
            wire.AuditRequest: self._audit,
            wire.AddRequest: self._add,
            wire.StartRequest: self._start,
            wire.RetryRequest: self._retry,
            wire.StopRequest: self._stop,
            wire.RemoveRequest: self._remove,
            wire.SnapshotRequest: self._take_snapshot,
            wire.ReloadRequest: self._reload,
        }
        for kind, answer in ScheduleVerbs(operations.schedules, _requester).answers.items():
            self._changes[kind] = partial(self._answered, answer)
        self._gate = Gate()
        #: How many messages arrived, whatever they were.
        self.arrived = 0
        #: How many messages had which end.
        self.counts: Counter[str] = Counter()

    async def handle(self, delivery: Delivery) -> None:
        """Deal with one message, whatever it is; never raises."""
        self.arrived += 1
        if delivery.redelivered:
            self._background.start(self._guarded(delivery, self._take_again(delivery)), "redelivered")
        elif self._gate.shut:
            self._background.start(self._guarded(delivery, self._take_later(delivery)), "held")
        else:
            await self._open(delivery)

    async def _guarded(self, delivery: Delivery, work: Awaitable[None]) -> None:
        try:
            await work
        except StoreBroken:
            self.counts["unanswered"] += 1
        except Exception:  # noqa: BLE001 - logged with its trace
            # The boundary, as the bus is for what it calls itself: unsettled it would take a place for ever.
            _log.exception("listener.bug", routing_key=delivery.routing_key)
            self.counts["bug"] += 1
            await delivery.reject()

    async def _take_later(self, delivery: Delivery) -> None:
        await self._gate.opened()
        await self._open(delivery)

    async def _take_again(self, delivery: Delivery) -> None:
        """Deal with a message that was delivered before, and perhaps was the end of the service then.

        The first time like any other, the second time alone. Counted is what is taken and not what waits for it: so a
        kill while one is alone makes this one suspect, and none of those behind it.
        """
        deliveries = self._handlers.deliveries
        count = deliveries.count(delivery.body)
        if count > _MOST_TIMES:
            await self._dead_letter(delivery, "its last three deliveries ended with the service")
        elif count == _MOST_TIMES:
            async with self._gate.alone():
                await deliveries.take(delivery.body)
                await self._open(delivery)
        else:
            await deliveries.take(delivery.body)
            await self._take_later(delivery)

    async def _open(self, delivery: Delivery) -> None:
        self._gate.enter()
        try:
            await self._read_in(delivery)
        finally:
            self._gate.leave()

    async def _read_in(self, delivery: Delivery) -> None:
        try:
            text = await _text(delivery)
            message = parsed_object(text)
        except Corrupt as error:
            await self._dead_letter(delivery, str(error))
            return
        try:
            request = wire.parse_request(message, delivery.routing_key)
        except BadRequest as error:
            # Judged by what it became: a few kB of gzip may be megabytes.
            await self._complain(message if len(text) <= _ECHO_BYTES else {}, message, error)
            await self._dead_letter(delivery, str(error))
        else:
            await self._take(delivery, request)

    async def _take(self, delivery: Delivery, request: wire.Request) -> None:
        read = self._reads.get(type(request))
        if read is not None:
            await self._answer(delivery, request, read)
        else:
            # Here and not where it begins: in between it would be nowhere.
            self._gate.enter()
            self._background.start(self._change(delivery, request), f"{request.key} {request.msg_id}")

    async def _change(self, delivery: Delivery, request: wire.Request) -> None:
        try:
            await self._answer(delivery, request, self._changes[type(request)])
        finally:
            self._gate.leave()

    async def _answer(self, delivery: Delivery, request: wire.Request, verb: _Verb) -> None:
        try:
            await self._reply(request, await self._decided(request, verb))
            await delivery.ack()
            self.counts[request.key] += 1
            if delivery.redelivered:
                await self._handlers.deliveries.answered(delivery.body)
        except BusUnavailable:
            # Not acked: it comes again over the next connection, and is recognised if it had an effect. This one
            # may look alive, and would keep it for ever.
            self._bus.reconnect("a reply could not be sent")
            self.counts["unanswered"] += 1
        except StoreBroken:
            # Not acked: nobody knows what is on disk. The process ends, and the next one finds out.
            self.counts["unanswered"] += 1
        except Exception:  # noqa: BLE001 - logged with its trace
            # The boundary: a bug in one verb must not stop the consumer, nor come again for ever.
            _log.exception("listener.bug", request=request.key, msg_id=request.msg_id)
            self.counts["bug"] += 1
            await delivery.reject()

    async def _decided(self, request: wire.Request, verb: _Verb) -> bytes:
        try:
            return await verb(request)
        except (Refused, StoreUnavailable) as error:
            return self._replies.refusal(f"{request.key}_resp", request.msg_id, error)

    async def _reply(self, request: wire.Request, body: bytes) -> None:
        to = reply_to(request.server_id)
        if to is not None:
            await self._bus.send(Outgoing("targeted", to.routing_key, body, to.headers))

    async def _complain(self, echo: dict[str, Any], message: dict[str, Any], error: BadRequest) -> None:
        """Tell the sender of what is no valid request, if it can be told, and show it."""
        server_id = message.get("Server-ID")
        to = reply_to(server_id) if isinstance(server_id, str) and is_address(server_id) else None
        if to is None:
            return
        body = self._replies.error(message.get("Msg-ID"), echo, error)
        with suppress(BusUnavailable):  # the message comes again, and so does the complaint
            await self._bus.send(Outgoing("targeted", to.routing_key, body, to.headers))

    async def _dead_letter(self, delivery: Delivery, reason: str) -> None:
        self.counts["dead_lettered"] += 1
        preview = delivery.body[:_PREVIEW_BYTES].decode("utf-8", "backslashreplace")
        _log.warning(
            "listener.dead_lettered",
            reason=reason[:_REASON_CHARACTERS],
            routing_key=delivery.routing_key,
            size=len(delivery.body),
            preview=preview,
        )
        await delivery.reject()

    # --- reads ---

    async def _look_up(self, request: wire.LookupRequest) -> bytes:
        return self._replies.help(request.msg_id, self._handlers.look_up(request.module, request.function))

    async def _read(self, request: wire.ReadRequest) -> bytes:
        task = self._handlers.read(request.task_id, request.account_id)
        more: dict[str, object] = {"explain": self._handlers.explain(task)} if request.explain else {}
        if (attempts := attempts_text(task)) is not None:
            more["attempts"] = JsonText(attempts)
        if not more:
            return self._result(request, task_text(task))
        return self._result(request, encode(dict(sorted((task_object(task) | more).items()))))

    async def _pool(self, request: wire.PoolRequest) -> bytes:
        slots = (slot._asdict() for slot in self._handlers.slots())
        # What does not apply is absent, as everywhere.
        told = [{name: value for name, value in slot.items() if value is not None} for slot in slots]
        return self._result(request, encode(told))

    async def _breaker(self, request: wire.BreakerRequest) -> bytes:
        if request.module is not None and request.function is not None:
            self._handlers.switch_breaker(request.module, request.function, is_open=bool(request.open))
        return self._result(request, encode(self._handlers.breakers()))

    async def _list(self, request: wire.ListRequest) -> bytes:
        page = self._handlers.list(request.account_id, _query(request))
        keys = {}
        if page.tasks:
            keys["Start-Key"] = start_key(page.tasks[0].seq)
        if page.next_seq is not None:
            keys["Next-Start-Key"] = start_key(page.next_seq)
        return self._result(request, tasks_text(page.tasks), keys)

    async def _hear(self, request: wire.CanaryRequest) -> bytes:
        return self._result(request, b"true")

    # --- changes ---

    async def _add(self, request: wire.AddRequest) -> bytes:
        drafts = [
            Draft(
                *(new.module, new.function, new.arguments, new.priority),
                when=When(new.start_at, new.delay),
                concurrency_key=new.concurrency_key,
                retry=None if new.retry is None else new.retry.policy(),
            )
            for new in request.new_tasks
        ]
        order = Order(request.account_id, drafts, bulk=request.tasks is not None, start=request.start)
        return self._result(request, await self._handlers.add(_requester(request), order))

    async def _start(self, request: wire.StartRequest) -> bytes:
        when = When(request.start_at, request.delay)
        started = await self._handlers.start(_requester(request), request.task_id, request.account_id, when)
        return self._result(request, started)

    async def _retry(self, request: wire.RetryRequest) -> bytes:
        return self._result(
            request, await self._handlers.retry(_requester(request), request.task_id, request.account_id)
        )

    async def _stop(self, request: wire.StopRequest) -> bytes:
        return self._result(
            request, await self._handlers.stop(_requester(request), request.task_id, request.account_id)
        )

    async def _remove(self, request: wire.RemoveRequest) -> bytes:
        return self._result(
            request, await self._handlers.remove(_requester(request), request.task_id, request.account_id)
        )

    async def _stack(self, request: wire.StackRequest) -> bytes:
        stack = await self._handlers.stack(request.task_id, request.account_id)
        return self._result(request, encode({"id": request.task_id, "stack": stack}))

    async def _log(self, request: wire.LogRequest) -> bytes:
        reading = Reading(request.attempt, request.position, request.wait_ms / 1_000)
        attempt, attempts, page, is_over = await self._handlers.log(
            request.task_id, request.account_id, reading
        )
        told = {
            "id": request.task_id,
            "attempt": attempt,
            "attempts": attempts,
            "entries": [entry(part) for part in page.parts],
            "next": page.next,
            "size": page.size,
            "is_over": is_over,
        }
        return self._result(request, encode(told))

    async def _audit(self, request: wire.AuditRequest) -> bytes:
        start = None if request.start_key is None else start_seq(request.start_key, AUDIT)
        query = AuditQuery(request.account_id, request.page_size, request.task_id, start)
        page = await self._handlers.audit(query)
        numbers = {"Start-Key": page.entries[0].number if page.entries else None, "Next-Start-Key": page.next}
        keys = {name: start_key(number, AUDIT) for name, number in numbers.items() if number is not None}
        return self._result(request, encode([audit_object(entry) for entry in page.entries]), keys)

    async def _answered(self, answer: Answer, request: wire.Request) -> bytes:
        return self._result(request, await answer(request))

    async def _take_snapshot(self, request: wire.SnapshotRequest) -> bytes:
        return self._result(request, encode(asdict(await self._operations.snapshot())))

    async def _reload(self, request: wire.ReloadRequest) -> bytes:
        return self._result(request, encode(dict(await self._operations.reload())))

    def _result(self, request: wire.Request, value: bytes, more: Mapping[str, object] | None = None) -> bytes:
        return self._replies.reply(f"{request.key}_resp", request.msg_id, value, more or {})


async def _text(delivery: Delivery) -> bytes:
    if delivery.content_encoding == "gzip" and len(delivery.body) > _MUCH_GZIP_BYTES:
        return await asyncio.to_thread(unpacked, delivery.body, delivery.content_encoding)
    return unpacked(delivery.body, delivery.content_encoding)


def _requester(request: wire.Request) -> Requester:
    return Requester(request.owner, request.msg_id, request.digest(), deed_of(request))


def _query(request: wire.ListRequest) -> Query:
    return Query(
        page_size=request.page_size,
        start_seq=start_seq(request.start_key) if request.start_key is not None else 0,
        status=Status(request.status) if request.status is not None else None,
        module=request.module,
        function=request.function,
        created_from=request.created_from,
        created_to=request.created_to,
    )
