"""P1 and P7: how fast and how evenly the service answers reads over AMQP.

Touches what the stage gives; listed in the table of measures.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from bench.dataset import FEW, dataset, sample, tasks
from bench.figure import Figure, Row, ratio
from bench.process import load
from bench.spec import ACCOUNT, Asking, Fields, Told
from bench.stage import Service, Stage
from kazoo_tasks.assembly.door import sender_of
from kazoo_tasks.settings import Settings
from kazoo_tasks.wire.body import task_text
from kazoo_tasks.wire.reply import Replies

#: Two slots that sleep 5 ms each end fewer than 400 a second: after six seconds more than 5,000 still wait.
_BUSY = 8_000
_BUSY_SLEEP_MS = 5
_PACE = 300.0


def reads(count: int) -> list[tuple[str, Fields]]:
    """Requests for tasks from all over a data set."""
    return [("read_req", {"Account-ID": ACCOUNT, "Task-ID": each}) for each in sample(count)]


def reply_size() -> int:
    """How long our reply to such a request is."""
    *_, task = tasks(10)
    replies = Replies(sender_of(Settings()))
    return len(replies.reply("read_resp", "0" * 32, task_text(task), {}))


def p1(stage: Stage) -> list[Row]:
    """Reads, 100 in flight, one client."""
    size = str(reply_size())
    with ExitStack() as held:
        service = held.enter_context(stage.service(dataset(FEW)))
        echo_url, fast_url = held.enter_context(stage.host()), held.enter_context(stage.host())
        held.enter_context(stage.ready_peer("peer_echo", echo_url, size))
        held.enter_context(stage.ready_peer("peer_faststream", fast_url, size))
        sides = {"ours": service.url, "echo": echo_url, "faststream": fast_url}
        found = stage.interleaved({name: _reader(url) for name, url in sides.items()})
    figures = {
        name: Figure(what, "replies/s", [told.per_s for told in found[name]])
        for name, what in (
            ("ours", "ours, `read_req`"),
            ("echo", "bare aio-pika echo"),
            ("faststream", "FastStream RPC"),
        )
    }
    client = Figure("CPU of the client for each", "µs", [told.client_us for told in found["ours"]])
    check = ratio(figures["ours"], figures["echo"], "ours ÷ echo", 0.90, at_least=True)
    how = (
        "The client is one process of this bench with an asyncio protocol that frames messages by hand (`raw.py`), the "
        "same code and bytes against all three; request and reply are as long as ours everywhere. Echo and FastStream "
        "ack by hand, prefetch 256, publish replies without confirms, and neither decode nor look anything up; they "
        "publish through aio-pika's API, while ours batches frames below it."
    )
    return [
        Row("P1", "AMQP `read_req`, 100 in flight, one client", [*figures.values(), client], [check], how)
    ]


def _reader(url: str) -> Callable[[], Told]:
    return lambda: load(Asking(url, reads(FEW), in_flight=100, seconds=2.0))


def p7(stage: Stage) -> list[Row]:
    """Reads while the pool is full, beside reads while it is idle."""
    idle, held_up, busy = [], [], []
    for _ in range(stage.runs):
        with stage.service(dataset(FEW)) as service:
            idle.append(_paced(service))
            _fill(service, 60_000)
            held_up.append(_paced(service))
        with stage.service(dataset(FEW)) as service:
            _fill(service, _BUSY_SLEEP_MS)
            busy.append(_paced(service))
    figures = [
        Figure("p99, nothing else to do", "ms", [told.p99_ms for told in idle]),
        Figure("p99, slots held, 8,000 wait", "ms", [told.p99_ms for told in held_up]),
        Figure("p99, slots turning over, ≥ 5,000 wait", "ms", [told.p99_ms for told in busy]),
    ]
    checks = [
        ratio(figures[1], figures[0], "slots held ÷ idle", 2.0),
        ratio(figures[2], figures[0], "slots turning over ÷ idle", 2.0),
    ]
    how = (
        "300 reads a second whatever becomes of the replies, 4 s a run. `Slots held`: two tasks that sleep for a "
        "minute, the rest waits. `Turning over`: every task sleeps 5 ms, so that starts and ends are journalled "
        "all the while; on two cores the broker, both children, the client and the service then compete for time."
    )
    return [Row("P7", "reads while the pool is full and 5,000 tasks wait", figures, checks, how)]


def _paced(service: Service) -> Told:
    return load(Asking(service.url, reads(FEW), per_s=_PACE, seconds=4.0))


def _fill(service: Service, sleep_ms: int) -> None:
    """Have tasks wait; the last reply to a bulk means that they do."""
    sleeps = [{"Module": "timer", "Function": "sleep", "Arguments": [sleep_ms]}] * 1000
    fields = {"Account-ID": "f" * 32, "Start": True, "Tasks": sleeps}
    load(Asking(service.url, [("add_req", fields)], in_flight=1, total=_BUSY // 1000))
