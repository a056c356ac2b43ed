"""What a load process is told and what it tells, as values that travel as JSON.

Pure; written by the measures, read by the load processes, and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

#: What every task is given: one string of ten digits.
ARGUMENT: Final = "4155550123"
ACCOUNT: Final = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
NOOP: Final = {"Module": "bench_task", "Function": "noop", "Arguments": [ARGUMENT]}

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """Requests that are answered: `in_flight` at any time, or `per_s` whatever becomes of them.

    Attributes:
        requests: Event name and fields of each, taken in turn.
        warm_s: How long it goes on before anything counts.
        total: After how many it is over, instead of after a time; then there is no warming up.
        snapshot_at_s: When a snapshot is asked for beside it, if at all; the load then ends with it.
    """

    url: str
    requests: Sequence[tuple[str, Fields]]
    in_flight: int = 1
    per_s: float = 0
    seconds: float = 2.0
    warm_s: float = 0.5
    total: int = 0
    snapshot_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tasking:
    """No-op tasks that are added and started: `in_flight` at a time one by one, or all at once in requests of `bulk`.

    Attributes:
        warm: How many run before anything counts.
    """

    url: str
    total: int
    in_flight: int = 100
    bulk: int = 0
    warm: int = 100


@dataclass(frozen=True, slots=True)
class Hitting:
    """GETs of these paths in turn, over so many connections, each with one request under way."""

    port: int
    paths: Sequence[str]
    headers: Sequence[str] = ()
    connections: int = 50
    seconds: float = 2.0
    warm_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a load.

    Attributes:
        per_s: How many were done each second.
        client_us: CPU time of the load process for each of them, in microseconds.
        snapshot_s: How long the snapshot took, if one was asked for.
    """

    count: int
    per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    client_us: float
    snapshot_s: float


def summed_up(
    latencies_s: Sequence[float], count: int, seconds: float, cpu_s: float, snapshot_s: float = 0.0
) -> Told:
    """The summary of a load that did so much in so many seconds."""
    ranked = sorted(latencies_s)
    assert ranked, "expected the load to have come to something, got no answer"
    return Told(
        count=count,
        per_s=count / seconds,
        p50_ms=quantile(ranked, 0.5) * 1000,
        p99_ms=quantile(ranked, 0.99) * 1000,
        max_ms=ranked[-1] * 1000,
        client_us=cpu_s / count * 1e6,
        snapshot_s=snapshot_s,
    )


def quantile(ranked: Sequence[float], part: float) -> float:
    """The value below which this part of the sorted values lies."""
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]
