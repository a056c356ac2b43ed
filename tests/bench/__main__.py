"""`make bench`: everything in the table below, one after the other, or what ONLY names.

Touches processes, a private RabbitMQ node and .run/; its figures go to the screen and to RESULTS.md.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from bench import environment, report
from bench.figure import Row
from bench.measure_amqp import p1, p7
from bench.measure_growth import growth
from bench.measure_pool import p5
from bench.measure_rest import p6, p12
from bench.measure_snapshot import p11
from bench.measure_tasks import p2, p3, p4
from bench.process import RUN
from bench.stage import Stage
from rabbitmq import PrivateNode

#: What is measured, and which rows come of it.
MEASURES: Final[Sequence[tuple[frozenset[str], Callable[[Stage], list[Row]]]]] = (
    (frozenset({"P1"}), p1),
    (frozenset({"P2"}), p2),
    (frozenset({"P3"}), p3),
    (frozenset({"P4"}), p4),
    (frozenset({"P5"}), p5),
    (frozenset({"P6"}), p6),
    (frozenset({"P7"}), p7),
    (frozenset({"P8", "P9", "P10", "P13"}), growth),
    (frozenset({"P11"}), p11),
    (frozenset({"P12"}), p12),
)
_INTERRUPTED: Final = 130
_ALL: Final = frozenset().union(*(names for names, _ in MEASURES))


def main() -> None:
    """Measure, print, and write the results down if nothing is missing from them."""
    given = _arguments()
    wanted = frozenset(given.only.upper().split(",")) if given.only else _ALL
    if unknown := wanted - _ALL:
        raise SystemExit(
            f"bench: expected rows of {', '.join(sorted(_ALL))}, got {', '.join(sorted(unknown))}"
        )
    signal.signal(signal.SIGTERM, _leave)
    shutil.rmtree(RUN / "bench", ignore_errors=True)
    (RUN / "bench").mkdir(parents=True)
    environment.set_up()
    with PrivateNode(RUN / "bench" / "rabbitmq") as node:
        stage = Stage(node, given.runs)
        machine = environment.described(node.ctl("version").strip())
        for names, measure in MEASURES:
            if names & wanted:
                _measure(stage, measure, wanted)
    if wanted == _ALL:
        stage.results.rows.sort(key=lambda row: int(row.name[1:]))
        report.write(stage.results, machine, given.runs)
        report.say(f"\nbench: wrote {report.RESULTS}")


def _measure(stage: Stage, measure: Callable[[Stage], list[Row]], wanted: frozenset[str]) -> None:
    began = time.monotonic()
    for row in measure(stage):
        if row.name in wanted:
            stage.results.rows.append(row)
            report.say_row(row)
    report.say(f"  ({time.monotonic() - began:.0f} s)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument(
        "--only", default="", help="rows, comma-separated; RESULTS.md is written for all only"
    )
    parser.add_argument("--runs", type=int, default=5, help="how often each side is measured")
    return parser.parse_args()


def _leave(number: int, _: FrameType | None) -> None:
    """End as Ctrl-C does: whatever was started is ended on the way out."""
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
