"""P6 and P12: the REST door's throughput, and what everything weighs when nothing happens.

Touches what the stage gives; listed in the table of measures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.dataset import FEW, dataset, sample
from bench.figure import Check, Figure, Row, ratio
from bench.measure_amqp import reply_size
from bench.process import family_pss, line, load
from bench.spec import ACCOUNT, Hitting
from bench.stage import TOKEN, Service, Stage, directory, started

_SETTLED_S: Final = 2.0


@contextmanager
def house(stage: Stage) -> Iterator[tuple[Service, Service]]:
    """A service and a gateway, as two processes."""
    with (
        stage.service(dataset(FEW)) as service,
        directory() as place,
        started("gateway", service.url, place / "none") as gateway,
    ):
        yield service, gateway


def p6(stage: Stage) -> list[Row]:
    """GET of a task, 50 connections."""
    with ExitStack() as held:
        _, gateway = held.enter_context(house(stage))
        url = held.enter_context(stage.host())
        held.enter_context(stage.ready_peer("peer_echo", url, str(reply_size())))
        hop = int(line(held.enter_context(stage.peer("peer_hop", url))))
        port = int(str(gateway.event["port"]))
        found = stage.interleaved({"ours": lambda: _hit(port), "hop": lambda: _hit(hop)})
    ours = Figure("ours: gateway, broker, service", "responses/s", found["ours"])
    limit = Figure("bare aiohttp + aio-pika to the echo", "responses/s", found["hop"])
    how = (
        "The client is a process of this bench with an asyncio protocol for each connection (`load_http.py`). The bare "
        "handler neither checks a token nor builds an envelope, and the echo behind it looks nothing up; neither waits "
        "for publish confirms, as ours does not."
    )
    check = ratio(ours, limit, "ours ÷ bare hop", 0.85, at_least=True)
    return [Row("P6", "REST GET of a task, 50 connections", [ours, limit], [check], how)]


def _hit(port: int) -> float:
    paths = [f"/v2/accounts/{ACCOUNT}/tasks/{each}" for each in sample(FEW)]
    return load(Hitting(port, paths, [f"X-Auth-Token: {TOKEN}"])).per_s


def p12(stage: Stage) -> list[Row]:
    """The memory of an idle set-up."""
    weights, children = [], []
    for _ in range(stage.runs):
        with house(stage) as (service, gateway):
            time.sleep(_SETTLED_S)
            weights.append(family_pss([service.pid, gateway.pid]))
            children.append(family_pss([gateway.pid]))
    figures = [
        Figure("service, its children, gateway", "MB", weights),
        Figure("of it the gateway", "MB", children),
    ]
    how = (
        "The sum of `Pss` in `/proc/*/smaps_rollup` over both processes and all below them, after two idle seconds. "
        "Two interpreters with asyncio, uvloop, structlog, pydantic and aiormq are some 70 MB of it, aiohttp is 8 MB "
        "of the gateway, fork server and children are 16 MB. "
        "Libraries that other processes of the machine have mapped as well count less: up to 4 MB."
    )
    check = Check("proportional set size", figures[0].median, 100.0, unit="MB")
    return [Row("P12", "idle service, two children and gateway", figures, [check], how)]
