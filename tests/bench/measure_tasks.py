"""P2, P3 and P4: tasks from the request to their end, beside Celery, Taskiq and Dramatiq.

Touches what the stage gives; listed in the table of measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Final

from bench.figure import Figure, Row, ratio
from bench.process import PEERS, RUN, cpu_s, line, load, running, wait_for
from bench.spec import Tasking, Told
from bench.stage import Service, Stage, directory

_TOGETHER: Final = 2_000
_CELERY_TOGETHER: Final = 1_000
_IN_FLIGHT: Final = 100
_BULK: Final = 1_000
_DRAINED: Final = 5_000
#: The part of a drain that passes before it counts: until then the second of two processes may still be starting.
_BEGIN: Final = 0.1
_ALONE: Final = 300

CELERY: Final = [
    *["-m", "celery", "-A", "bench.peer_celery", "worker", "-P", "prefork", "-c", "2", "-l", "WARNING"],
    "--without-gossip",
]
TASKIQ: Final = [
    "-m",
    "taskiq",
    "worker",
    "bench.peer_taskiq:broker",
    "--workers",
    "2",
    "--log-level",
    "WARNING",
]
DRAMATIQ: Final = ["-m", "dramatiq", "bench.peer_dramatiq", "-p", "2", "-t", "1"]


@contextmanager
def driven(stage: Stage, worker: list[str], driver: str) -> Iterator[Popen[bytes]]:
    """A peer's workers, and its driver once it has executed its warm-up."""
    with stage.host() as url:
        log = RUN / "bench" / f"{driver}-worker.log"
        with (
            running([PEERS, *worker], log, {"BENCH_URL": url}),
            stage.ready_peer(driver, BENCH_URL=url) as process,
        ):
            yield process


@dataclass(slots=True)
class Spent:
    """Runs loads on a service of ours, and notes what each task has cost it and the client."""

    service: Service
    service_us: list[float] = field(default_factory=list)
    client_us: list[float] = field(default_factory=list)

    def on(self, tasking: Tasking) -> Told:
        """Run one."""
        before = cpu_s(self.service.pid)
        told = load(tasking)
        count = tasking.total + max(tasking.bulk, tasking.warm)
        self.service_us.append((cpu_s(self.service.pid) - before) / count * 1e6)
        self.client_us.append(told.client_us)
        return told


def p2(stage: Stage) -> list[Row]:
    """Add and start in one request, executed, ended; one by one, 100 in flight."""
    with ExitStack() as held:
        service = held.enter_context(stage.service())
        celery = held.enter_context(driven(stage, CELERY, "peer_celery"))
        taskiq = held.enter_context(driven(stage, TASKIQ, "peer_taskiq"))
        spent = Spent(service)

        def ours() -> float:
            return spent.on(Tasking(service.url, _TOGETHER, in_flight=_IN_FLIGHT)).per_s

        sides: dict[str, Callable[[], float]] = {
            "ours": ours,
            "celery": lambda: _CELERY_TOGETHER / _driven(celery, _CELERY_TOGETHER)[0],
            "taskiq": lambda: _TOGETHER / _driven(taskiq, _TOGETHER)[0],
        }
        found = stage.interleaved(sides)
    figures = [
        Figure("ours, journalled with fsync", "tasks/s", found["ours"]),
        Figure("Celery, prefork, acks_late, prefetch 1, rpc://", "tasks/s", found["celery"]),
        Figure("Taskiq, 2 workers, results published", "tasks/s", found["taskiq"]),
        Figure("CPU of our service for each, without children", "µs", spent.service_us),
        Figure("CPU of our client for each", "µs", spent.client_us),
    ]
    checks = [
        ratio(figures[0], figures[1], "ours ÷ Celery", 2.0, at_least=True),
        ratio(figures[0], figures[2], "ours ÷ Taskiq", 1.0, at_least=True),
    ]
    how = (
        "From the first request to the last end that the client has heard of, the client included on all sides: ours "
        "is the raw client, the peers' are their own, which cost more of the two cores. Taskiq has no results over "
        "AMQP: its result backend here publishes each without confirms; its task is a coroutine in the worker's loop, "
        "not in a process that can be killed; publish confirms as each peer's default."
    )
    return [Row("P2", "add and start in one request, no-op, one by one", figures, checks, how)]


def p3(stage: Stage) -> list[Row]:
    """The same in bulk, beside a queue that was filled before."""
    with stage.service() as service:
        spent = Spent(service)
        sides: dict[str, Callable[[], tuple[float, float]]] = {
            "ours": lambda: (spent.on(Tasking(service.url, _DRAINED, bulk=_BULK)).per_s, 0.0),
            "dramatiq": lambda: _drain(stage),
        }
        found = stage.interleaved(sides)
    ours = Figure("ours, journalled with fsync", "tasks/s", [each[0] for each in found["ours"]])
    theirs = Figure("Dramatiq, -p 2 -t 1, drain alone", "tasks/s", [each[0] for each in found["dramatiq"]])
    filling = Figure("Dramatiq, filling the queue before", "tasks/s", [each[1] for each in found["dramatiq"]])
    cost = Figure("CPU of our service for each, without children", "µs", spent.service_us)
    how = (
        "Ours: five requests of 1,000 tasks, from the first request to the last ended event, taking in included. "
        "Dramatiq: 5,000 messages are enqueued before its workers start, and the last 90 % of their executions count, "
        "so that neither enqueuing nor start-up does; it keeps no record, so each execution appends a byte to a file. "
        "Each of ours is journalled before it runs and after it ended, can be read all the while, and is told in "
        "three events: by `make profile`, telling takes a third of the service's time, journalling a fifth. That is "
        "what stands between us and the goal where it is missed."
    )
    check = ratio(ours, theirs, "ours ÷ Dramatiq", 2.0, at_least=True)
    return [Row("P3", "the same in bulk, 1,000 a request", [ours, theirs, filling, cost], [check], how)]


def p4(stage: Stage) -> list[Row]:
    """One at a time."""
    with stage.service() as service, driven(stage, CELERY, "peer_celery") as celery:

        def ours() -> Told:
            return load(Tasking(service.url, _ALONE, in_flight=1))

        sides: dict[str, Callable[[], float]] = {
            "ours": lambda: ours().p50_ms,
            "celery": lambda: _driven(celery, _ALONE, 1)[1],
        }
        found = stage.interleaved(sides)
    figures = [
        Figure("ours, request to ended event, p50", "ms", found["ours"]),
        Figure("Celery, delay().get(), p50", "ms", found["celery"]),
    ]
    check = ratio(figures[0], figures[1], "ours ÷ Celery", 0.6)
    how = (
        "Ours includes two fsyncs: the start is on disk before the child has the task, the end before it is told. "
        "Between us and the goal, as traced once: of 1.24 ms broker and client have 0.41, the two fsyncs 0.18, waking "
        "the journal's thread, the event loop and the child, five times in all, 0.25. These alone are the goal."
    )
    return [Row("P4", "one at a time, request to ended event", figures, [check], how)]


def _driven(driver: Popen[bytes], count: int, in_flight: int = _IN_FLIGHT) -> tuple[float, float]:
    seconds, p50_ms = map(float, line(driver, f"{count} {in_flight}").split())
    return seconds, p50_ms


def _drain(stage: Stage) -> tuple[float, float]:
    """How many a second Dramatiq executes, and how many a second it took in before."""
    with stage.host() as url, directory() as place:
        counted = place / "count"
        environment = {"BENCH_URL": url, "BENCH_COUNT": str(counted)}
        with stage.peer("peer_dramatiq", str(_DRAINED), **environment) as filling:
            filled = float(line(filling))
        log = RUN / "bench" / "peer_dramatiq-worker.log"
        with running([PEERS, *DRAMATIQ], log, environment):
            began = wait_for(counted, int(_BEGIN * _DRAINED), 30)
            before = counted.stat().st_size
            ended = wait_for(counted, _DRAINED, 60)
    return (_DRAINED - before) / (ended - began), filled
