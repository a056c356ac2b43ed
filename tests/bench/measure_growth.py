"""P8, P9, P10 and P13: what a million finished tasks cost.

Touches what the stage gives; listed in the table of measures. All four live off the same two services.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from bench.dataset import FEW, LARGE_SHARE, MANY, SIZES, dataset, tasks
from bench.figure import Check, Figure, Row, ratio
from bench.measure_amqp import reads
from bench.process import load, rss
from bench.spec import ACCOUNT, Asking, Fields
from bench.stage import Service, Stage
from kazoo_tasks.assembly.door import sender_of
from kazoo_tasks.core.registry import Query, Registry
from kazoo_tasks.model.task import Status
from kazoo_tasks.settings import Settings
from kazoo_tasks.wire.body import tasks_text
from kazoo_tasks.wire.reply import Replies

_PAGE = 1_000
_Requests = list[tuple[str, Fields]]


def growth(stage: Stage) -> list[Row]:
    """All four, and the curves from a thousand to a million tasks."""
    for count in SIZES:
        dataset(count)  # made before anything is timed
    with stage.service(dataset(FEW)) as few, stage.service(dataset(MANY)) as many:
        rows = [_p8(stage, few, many), _p9(stage, few, many)]
        _take_points(stage, FEW, few)
        _take_points(stage, MANY, many)
        listing = _round_trips(stage, many)
    for count in SIZES[1:-1]:
        with stage.service(dataset(count)) as service:
            _take_points(stage, count, service)
    return [*rows, _p10(stage, many), _p13(stage, listing)]


def _p8(stage: Stage, few: Service, many: Service) -> Row:
    sides: dict[str, Callable[[], float]] = {
        "page few": partial(_p50_ms, few, page(50)),
        "page many": partial(_p50_ms, many, page(50)),
        "read few": partial(_p50_ms, few, reads(FEW)),
        "read many": partial(_p50_ms, many, reads(MANY)),
    }
    found = stage.interleaved(sides)
    figures = {
        name: Figure(what, "ms", found[name])
        for name, what in (
            ("page few", "first page of 50, 1,000 tasks, p50"),
            ("page many", "first page of 50, 1,000,000 tasks, p50"),
            ("read few", "single read, 1,000 tasks, p50"),
            ("read many", "single read, 1,000,000 tasks, p50"),
        )
    }
    checks = [
        ratio(figures["page many"], figures["page few"], "page, many ÷ few", 1.3),
        ratio(figures["read many"], figures["read few"], "read, many ÷ few", 1.3),
    ]
    how = (
        "One request at a time over AMQP, two services side by side; pages and reads are of the account with a tenth "
        "of all tasks."
    )
    return Row(
        "P8", "reads with 1,000,000 finished tasks in 1,000 accounts", list(figures.values()), checks, how
    )


def _p9(stage: Stage, few: Service, many: Service) -> Row:
    each = (rss(many.pid) - rss(few.pid)) / (MANY - FEW)
    figure = Figure("RSS for each finished task", "bytes", [each])
    check = Check("bytes a task", each, 600.0, unit="bytes")
    how = "The difference of the two services of P8 after their runs; once, since it does not vary."
    return Row("P9", "memory for each finished task at 1,000,000", [figure], [check], how)


def _p10(stage: Stage, first: Service) -> Row:
    times = [first.ready_s]
    for _ in range(stage.runs - 1):
        with stage.service(dataset(MANY)) as service:
            times.append(service.ready_s)
    figure = Figure("start to ready, after a clean stop", "s", times)
    how = "From the start of the process to its log line `service.ready`; the file is in the system's cache."
    check = Check("start to ready", figure.median, 8.0, unit="s")
    return Row("P10", "start with 1,000,000 tasks on disk", [figure], [check], how)


def _p13(stage: Stage, round_trips: list[float]) -> Row:
    mine = [task for task in tasks(MANY) if task.account_id == ACCOUNT]
    assert len(mine) == MANY // LARGE_SHARE
    registry = Registry(mine)
    gc.collect()
    gc.freeze()
    plain = Query(_PAGE)
    last = Query(_PAGE, status=Status.SUCCESS, created_from=mine[-_PAGE].submitted_at)
    answer = partial(_answer_ms, registry)
    none = Query(_PAGE, status=Status.FAILURE)
    queries = {"plain": plain, "last": last, "none": none}
    found = stage.interleaved({name: partial(answer, query) for name, query in queries.items()})
    gc.unfreeze()
    figures = [
        Figure("in the service, first page", "ms", found["plain"]),
        Figure("in the service, filter that only the last 1,000 pass", "ms", found["last"]),
        Figure("in the service, status that none of the 100,000 has", "ms", found["none"]),
        Figure("round trip over AMQP, first page, p50", "ms", round_trips),
    ]
    checks = [
        Check("first page", figures[0].median, 15.0, unit="ms"),
        Check("behind a filter", figures[1].median, 15.0, unit="ms"),
        Check("nothing passes the filter", figures[2].median, 15.0, unit="ms"),
    ]
    how = (
        "Find, encode and wrap, as the listener does for `list_req`, timed in a process of the bench with the "
        "service's own code (median of 9 a run), with a frozen heap; the round trip is the real service's of P8."
    )
    return Row("P13", "page of 1,000 from an account of 100,000", figures, checks, how)


def _answer_ms(registry: Registry, query: Query) -> float:
    replies = Replies(sender_of(Settings()))
    times = []
    for _ in range(9):
        began = time.perf_counter()
        found = registry.page(ACCOUNT, query)
        replies.reply("list_resp", "0" * 32, tasks_text(found.tasks), {"Start-Key": "czE"})
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def page(size: int) -> _Requests:
    """A request for the large account's first page."""
    return [("list_req", {"Account-ID": ACCOUNT, "Page-Size": size})]


def _round_trips(stage: Stage, service: Service) -> list[float]:
    return [_p50_ms(service, page(_PAGE)) for _ in range(stage.runs)]


def _p50_ms(service: Service, requests: _Requests) -> float:
    return load(Asking(service.url, requests, in_flight=1, seconds=1.0, warm_s=0.3)).p50_ms


def _take_points(stage: Stage, count: int, service: Service) -> None:
    """This size's points of the curves."""
    flow = load(Asking(service.url, reads(count), in_flight=100, seconds=2.0)).per_s
    for name, value in (
        ("P1: reads, 100 in flight (1/s)", flow),
        ("P8: first page of 50, p50 (ms)", _p50_ms(service, page(50))),
        ("P8: single read, p50 (ms)", _p50_ms(service, reads(count))),
        ("P9: resident memory (MB)", rss(service.pid) / 2**20),
        ("P10: start to ready (s)", service.ready_s),
    ):
        stage.results.curves.setdefault(name, []).append((count, value))
        stage.results.curves[name].sort()
