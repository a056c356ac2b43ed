"""P11: a snapshot of a million tasks, as those who are being served feel it.

Touches what the stage gives, and a file that the service's probe writes; listed in the table of measures.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from bench.bench_task import PROBE_VARIABLE
from bench.dataset import MANY, dataset
from bench.figure import Check, Figure, Row, ratio
from bench.measure_amqp import reads
from bench.process import load
from bench.spec import NOOP, Asking, Told
from bench.stage import Stage, directory

_PACE: Final = 300.0
_OTHER: Final = "f" * 32


def p11(stage: Stage) -> list[Row]:
    """Replies and the event loop, with and without a snapshot under way."""
    quiet: list[tuple[Told, float]] = []
    taking: list[tuple[Told, float]] = []
    with directory() as place:
        probe = place / "probe"
        _reset(probe)
        more = {PROBE_VARIABLE: str(probe)}
        with stage.service(
            dataset(MANY), snapshot_keep="1", snapshot_asked_interval_s="0", **more
        ) as service:
            for _ in range(stage.runs):
                quiet.append(_measure(service.url, probe))
                taking.append(_measure(service.url, probe, snapshot=True))
    figures = [
        Figure("event loop late at the worst, during a snapshot", "ms", [each[1] for each in taking]),
        Figure("event loop late at the worst, without", "ms", [each[1] for each in quiet]),
        Figure("p99 of replies during a snapshot", "ms", [each[0].p99_ms for each in taking]),
        Figure("p99 of replies without", "ms", [each[0].p99_ms for each in quiet]),
        Figure("the snapshot takes", "s", [each[0].snapshot_s for each in taking]),
    ]
    checks = [
        Check("event loop held", max(figures[0].runs), 20.0, unit="ms"),
        ratio(figures[2], figures[3], "p99, with ÷ without", 1.5),
    ]
    how = (
        "300 requests a second, nine reads to one journalled add; a timer in the service's loop, due each millisecond, "
        "notes how late it comes (the worst of all runs counts), which holds the system's scheduling on two busy cores "
        "against us too."
    )
    return [Row("P11", "snapshot of 1,000,000 tasks under load", figures, checks, how)]


def _measure(url: str, probe: Path, *, snapshot: bool = False) -> tuple[Told, float]:
    _reset(probe)
    adding = ("add_req", {"Account-ID": _OTHER, **NOOP})
    told = load(
        Asking(
            url,
            [*reads(MANY)[:9], adding],
            per_s=_PACE,
            seconds=3.0,
            snapshot_at_s=0.1 if snapshot else None,
        )
    )
    return told, struct.unpack("d", probe.read_bytes())[0] * 1000


def _reset(probe: Path) -> None:
    # In place: the service has the file mapped.
    with probe.open("r+b" if probe.exists() else "wb") as file:
        file.write(struct.pack("d", 0.0))
