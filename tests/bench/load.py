"""A load process over AMQP: reads one `Asking` or `Tasking` from its input, writes one `Told`.

Touches the broker through the raw client; started by the measures, in a process of its own so that it is counted alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import cycle
from typing import Final

import orjson

from bench.loading import cpu_s, main
from bench.raw import RawClient, connect
from bench.spec import ACCOUNT, NOOP, Asking, Fields, Tasking, Told, summed_up

_OPERATORS: Final = {"snapshot_req": "tasks.operator.snapshot"}
_ID: Final = b"@" * 32
_MSG_ID: Final = b'"Msg-ID":"'


class Form:
    """A request that is ready but for its `Msg-ID`."""

    def __init__(self, event: str, fields: Fields, address: str) -> None:
        """Encode it once."""
        headers = {"App-Name": "bench", "App-Version": "1", "Event-Category": "tasks", "Event-Name": event}
        body = orjson.dumps({**headers, "Msg-ID": _ID.decode(), "Server-ID": address, **fields})
        self.before, self.behind = body.split(_ID)
        self.key = _OPERATORS.get(event) or f"tasks.{event.removesuffix('_req')}"

    def send(self, client: RawClient, msg_id: bytes) -> None:
        """Send it under an id."""
        client.publish("tasks", self.key, self.before + msg_id + self.behind)


class MessageIds:
    """Ids that nobody used before."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self._base = os.urandom(12).hex().encode()
        self._count = 0

    def next(self) -> bytes:
        """Another one."""
        self._count += 1
        return self._base + b"%08x" % self._count


class Asker:
    """Keeps requests under way and notes how long each reply takes."""

    def __init__(self, asking: Asking) -> None:
        """Take what is to be asked."""
        self._asking = asking
        self._under_way: dict[bytes, float] = {}
        self._ids = MessageIds()
        self._client: RawClient
        self._sent = 0
        self._over = False
        self.latencies: list[float] = []
        self._all = asyncio.Event()
        self._snapshot = asyncio.Event()
        self._snapshot_id = b""

    async def run(self) -> Told:
        """Ask for as long as is wanted."""
        asking = self._asking
        self._client = await connect(asking.url, self._take)
        self._forms = cycle([Form(event, fields, self._client.address) for event, fields in asking.requests])
        pace = asyncio.create_task(self._keep_pace()) if asking.per_s else None
        for _ in range(0 if pace else asking.in_flight):
            self._ask()
        if not asking.total:
            await asyncio.sleep(asking.warm_s)
            self.latencies.clear()
        began, cpu = time.perf_counter(), cpu_s()
        snapshot_s = await self._last()
        took, cpu = time.perf_counter() - began, cpu_s() - cpu
        self._over = True
        if pace:
            pace.cancel()
        self._client.close()
        return summed_up(self.latencies, len(self.latencies), took, cpu, snapshot_s)

    async def _last(self) -> float:
        asking = self._asking
        if asking.total:
            await self._all.wait()
            return 0.0
        if asking.snapshot_at_s is None:
            await asyncio.sleep(asking.seconds)
            return 0.0
        await asyncio.sleep(asking.snapshot_at_s)
        # What came before the snapshot does not count.
        self.latencies.clear()
        began = time.perf_counter()
        self._snapshot_id = self._ids.next()
        Form("snapshot_req", {}, self._client.address).send(self._client, self._snapshot_id)
        await self._snapshot.wait()
        return time.perf_counter() - began

    async def _keep_pace(self) -> None:
        due = time.perf_counter()
        while True:
            due += 1 / self._asking.per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._ask()

    def _ask(self) -> None:
        self._sent += 1
        msg_id = self._ids.next()
        self._under_way[msg_id] = time.perf_counter()
        next(self._forms).send(self._client, msg_id)

    def _take(self, body: bytes) -> None:
        at = body.index(_MSG_ID) + len(_MSG_ID)
        msg_id = body[at : at + len(_ID)]
        if msg_id == self._snapshot_id:
            assert b'"size_bytes"' in body, body
            self._snapshot.set()
            return
        self.latencies.append(time.perf_counter() - self._under_way.pop(msg_id))
        # A refusal is a word instead of a value; quick ones would make a fine figure.
        if b'"Reply":"' in body or b'"error_resp"' in body:
            raise RuntimeError(body)
        if len(self.latencies) == self._asking.total:
            self._all.set()
        if not (self._over or self._asking.per_s or self._sent == self._asking.total):
            self._ask()


class Tasker:
    """Has tasks executed, and hears of their ends from the events that everybody can hear."""

    def __init__(self, tasking: Tasking) -> None:
        """Take what is to be executed."""
        self._tasking = tasking
        self._ids = MessageIds()
        self._client: RawClient
        self._left = self._to_send = 0
        self._sent_at = 0.0
        self._done: asyncio.Future[None]
        self.latencies: list[float] = []

    async def run(self) -> Told:
        """Execute the warm-up, then what counts."""
        tasking = self._tasking
        self._client = await connect(tasking.url, self._take)
        await self._client.bind("tasks", "tasks.event.*.*.task_ended")
        fields: Fields = {"Account-ID": ACCOUNT, "Start": True}
        many = {**fields, "Tasks": [NOOP] * tasking.bulk}
        self._form = Form("add_req", many if tasking.bulk else {**fields, **NOOP}, self._client.address)
        await self._execute(max(tasking.bulk, tasking.warm))
        self.latencies.clear()
        began, cpu = time.perf_counter(), cpu_s()
        await self._execute(tasking.total)
        took, cpu = time.perf_counter() - began, cpu_s() - cpu
        self._client.close()
        return summed_up(self.latencies or [took], tasking.total, took, cpu)

    async def _execute(self, count: int) -> None:
        self._left, bulk = count, self._tasking.bulk
        self._done = asyncio.get_running_loop().create_future()
        at_once = count // bulk if bulk else min(count, self._tasking.in_flight)
        self._to_send = 0 if bulk else count
        for _ in range(at_once):
            self._send()
        await self._done

    def _send(self) -> None:
        self._to_send -= 1
        self._sent_at = time.perf_counter()
        self._form.send(self._client, self._ids.next())

    def _take(self, body: bytes) -> None:
        if b'"Event-Name":"add_resp"' in body:
            assert b'"started_at"' in body, body
            return
        assert b'"is_success":true' in body, body
        if self._tasking.in_flight == 1:
            self.latencies.append(time.perf_counter() - self._sent_at)
        self._left -= 1
        if not self._left:
            self._done.set_result(None)
        elif self._to_send > 0:
            self._send()


async def _ask(spec: Fields) -> Told:
    return await Asker(Asking(**spec)).run()


async def _task(spec: Fields) -> Told:
    return await Tasker(Tasking(**spec)).run()


if __name__ == "__main__":
    main({"asking": _ask, "tasking": _task}[sys.argv[1]])
