"""Very many runs, of which one in a hundred misbehaves: nothing grows and nothing is left; run by `make soak`."""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from kazoo_tasks.model.limits import NO_LIMITS, Limits
from kazoo_tasks.pool.usage import usage_of
from support import control_group
from support.footprint import descriptors, household
from support.misbehaviour import GRACE_S, MODULE, SLEEPER, STOPPED, Misbehaviour
from support.pool import a_pool
from support.pool_soak import AHEAD, SCALE, Sample, Soak, soaked
from support.stopping import stops_s
from support.trend import Trend, trend

pytestmark = pytest.mark.long
#: What may be added by 100,000 tasks, in MiB, and is not called growth: 10 bytes for each.
_MOST_MIB = 1.0
_SLEEPERS = 1000
_STOPS = 100
_MEMORY_LIMITS = 50
_LIMIT_BYTES = 300 * 2**20
_FIGURES = ("service_mib", "server_mib", "children_mib")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A warning for each death would be all that there is to see."""
    log = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**log)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, of the pool and of its children."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place


def trends(samples: list[Sample]) -> dict[str, Trend]:
    """How each figure went, for 100,000 tasks."""
    over = [each.tasks / 100_000 for each in samples]
    return {name: trend(over, [getattr(each, name) for each in samples]) for name in _FIGURES}


def report(soak: Soak, samples: list[Sample], took_s: float) -> str:
    """What is to be read at the end."""
    lines = [
        f"{soak.ended_runs:,} runs in {took_s:.0f} s, seed {SCALE.seed}, {soak.misbehaved.total():,} misbehaved:",
        *(f"  {times:>6,}  {name}" for name, times in soak.misbehaved.most_common()),
        f"  {soak.lost_behind_junk:>6,}  lost behind one that writes junk",
        "figure         middle  growth by 100,000 tasks, second half",
        *(
            f"{name:<13} {each.middle:>7.2f}  {each.slope:+.3f} ± {2 * each.error:.3f}"
            for name, each in trends(samples).items()
        ),
        f"descriptors   {samples[0].descriptors} after the first round, {samples[-1].descriptors} after the last",
    ]
    return "\n".join(lines)


async def test_nothing_grows_and_nothing_is_left(
    tmp_path: Path, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory of the service, the fork server and the children; processes, descriptors, control groups and files."""
    with control_group.delegated() as group, household() as ours:
        open_before = descriptors(os.getpid())
        soak = Soak(tmp_path / "runs")
        await soak.pool.start(soak)
        try:
            before, (server,) = ours.footprint(soak.pool), ours.servers()
            began = time.monotonic()
            samples = await soaked(soak, server)
            tell(capsys, report(soak, samples, time.monotonic() - began))
            await ours.same_again(soak.pool, before)
            assert ours.servers() == [server]
            assert len(control_group.groups_in(group)) <= 2 * (1 + soak.pool.size)
        finally:
            await soak.pool.close()
        assert control_group.groups_in(group) == []
        assert descriptors(os.getpid()) == open_before
    assert soak.wrong == []
    assert soak.ended_runs == SCALE.tasks
    assert soak.lost_behind_junk <= AHEAD * soak.misbehaved["writes junk to every descriptor"]
    assert files_in(temporary) == []
    assert [name for name, each in trends(samples).items() if each.grows_by(_MOST_MIB)] == []


def files_in(folder: Path) -> list[str]:
    """Whatever is there."""
    return [file.name for file in folder.iterdir()]


def tell(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Show it, whether the test fails or not."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


async def stops_of(row: Misbehaviour, folder: Path, times: int) -> list[float]:
    """So many, in a pool of one slot."""
    async with a_pool(modules=(MODULE,), size=1, stop_grace_s=GRACE_S) as bench:
        return await stops_s(bench, row, folder, times)


async def test_stops_are_as_quick_as_is_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a hundred that are asked to end 99 are gone within 1 s, and within 100 ms if they only sleep."""
    took_s = {"sleep": await stops_of(SLEEPER, tmp_path, _SLEEPERS)}
    # Those that are waited for do not take the processors from each other.
    took_s |= {
        row.name: await stops_of(row, tmp_path, _STOPS) for row in STOPPED if "SIGKILL" not in row.told
    }
    deaf = [row for row in STOPPED if "SIGKILL" in row.told]
    waited_s = await asyncio.gather(*(stops_of(row, tmp_path, _STOPS) for row in deaf))
    took_s |= {row.name: each for row, each in zip(deaf, waited_s, strict=True)}
    tell(
        capsys,
        "stops, in ms                        n  median     p99  worst\n"
        + "\n".join(map(line, took_s.items())),
    )
    assert p99(took_s["sleep"]) < 0.1
    assert [name for name, each in took_s.items() if p99(each) >= 1] == []


def p99(ascending: list[float]) -> float:
    """What 99 of a hundred do not exceed."""
    return ascending[math.ceil(len(ascending) * 0.99) - 1]


def line(measured: tuple[str, list[float]]) -> str:
    """Of the table."""
    name, took_s = measured
    figures = (statistics.median(took_s), p99(took_s), took_s[-1])
    return f"{name:<32} {len(took_s):>4}  " + "  ".join(f"{figure * 1000:6.1f}" for figure in figures)


async def test_little_more_memory_is_taken_than_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 1 GB a second: less than 64 MiB beyond the limit by the time that the process is dead."""
    over_mib, mib_a_s = [], []
    async with a_pool(modules=(MODULE,), size=1) as bench:
        for number in range(_MEMORY_LIMITS):
            file = tmp_path / str(number)
            file.write_bytes(bytes(16))
            await bench.result("behave")
            held_before = usage_of(bench.pool.pids[1]).memory_bytes
            bench.limits = Limits(memory_bytes=_LIMIT_BYTES)
            outcome = await bench.run("take_memory_at", str(file), 4096, 954)
            bench.limits = NO_LIMITS
            assert getattr(outcome, "reason", "").startswith("memory: "), outcome
            filled_mib, took_us = struct.unpack(">QQ", file.read_bytes())
            over_mib.append(filled_mib + (held_before - _LIMIT_BYTES) / 2**20)
            mib_a_s.append(filled_mib / took_us * 10**6)
            await bench.whole()
    over_mib.sort()
    tell(
        capsys,
        f"memory beyond its limit, {len(over_mib)} times at {statistics.median(mib_a_s):.0f} MiB/s:"
        f" median {statistics.median(over_mib):.0f} MiB, worst {over_mib[-1]:.0f} MiB",
    )
    assert over_mib[-1] < 64
