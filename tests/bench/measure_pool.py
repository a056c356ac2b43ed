"""P5: the pool alone, beside the standard library's and pebble's.

Touches what the stage gives; listed in the table of measures.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from subprocess import Popen
from typing import Final

from bench.figure import Figure, Row, ratio
from bench.process import OURS, RUN, line, running
from bench.stage import Stage

_TRIPS: Final = 1_000
_COUNT: Final = 5_000


def p5(stage: Stage) -> list[Row]:
    """Round trips, and throughput with two slots."""
    with ExitStack() as held:
        own = held.enter_context(running([OURS, "-m", "bench.own_pool"], RUN / "bench" / "own_pool.log"))
        line(own)
        names = ("executor", "pebble")
        pools = {"ours": own} | {
            name: held.enter_context(stage.ready_peer("peer_pool", name)) for name in names
        }
        found = stage.interleaved({name: partial(_measure, pool) for name, pool in pools.items()})
    titles = {"ours": "ours", "executor": "ProcessPoolExecutor, forkserver", "pebble": "pebble, forkserver"}
    trips = {name: Figure(f"{titles[name]}, p50", "µs", [each[0] for each in found[name]]) for name in found}
    flows = {name: Figure(titles[name], "no-ops/s", [each[1] for each in found[name]]) for name in found}
    checks = [
        ratio(trips["ours"], trips["executor"], "round trip, ours ÷ executor", 1.0),
        ratio(flows["ours"], flows["executor"], "throughput, ours ÷ executor", 1.0, at_least=True),
        ratio(flows["ours"], flows["pebble"], "throughput, ours ÷ pebble", 2.0, at_least=True),
    ]
    how = (
        "1,000 round trips one after the other, then 5,000 no-ops with two processes. The others are called as their "
        "manuals do it, `submit(…).result()` in a plain thread, and are given all 5,000 at once; ours runs in an event "
        "loop, is fed as the runner feeds it (up to 32 short runs ahead for each child, of which a death costs one), "
        "and its children lead process groups that can be killed."
    )
    return [Row("P5", "pool alone, no-op, two slots", [*trips.values(), *flows.values()], checks, how)]


def _measure(pool: Popen[bytes]) -> tuple[float, float]:
    trip_us, per_s = map(float, line(pool, f"{_TRIPS} {_COUNT}").split())
    return trip_us, per_s
