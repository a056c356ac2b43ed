"""The files of a service that was under way, cut at random places: the next start has a prefix, or says what to do.

Touches a broker, a service and copies of its data directory; the command line is asked, as an operator would.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from kazoo_tasks.assembly.clock import SystemClock
from kazoo_tasks.store.sqlite import SqliteJournal
from support.broker import SessionBroker
from support.fault_clerk import Clerk
from support.fault_lab import a_lab
from support.fault_load import Walker
from support.fault_scale import SCALE

BEFORE, AFTER = 100, 200
CANNOT_START = 78
JOURNAL = "journal.sqlite3"


@dataclass(frozen=True)
class Torn:
    """A copy of the files as a power cut would leave them.

    Attributes:
        ids: Of all acknowledged tasks, in the order of the acknowledgements.
        floor: How many of them the journal has without its log.
    """

    data_dir: Path
    ids: list[str]
    floor: int


@pytest.fixture(scope="module")
def torn(broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Torn]:
    """A service took some tasks, was stopped, and took more as the next start; its files were copied while it ran."""
    folder = tmp_path_factory.mktemp("torn")
    with broker.fresh_vhost() as url:
        yield asyncio.run(tear(url, folder))


async def tear(url: str, folder: Path) -> Torn:
    """Fill, copy, and count what is in the file alone."""
    async with a_lab(folder / "lab", url, seed=SCALE.seed) as lab:
        await lab.start()
        walker = Walker(lab.client, lab.effects, Random(SCALE.seed))
        before = [await walker.add("nothing") for _ in range(BEFORE)]
        # A stop in good order takes a snapshot and folds the log into the file.
        await lab.close()
        await lab.start()
        after = [await walker.add("nothing") for _ in range(AFTER)]
        shutil.copytree(lab.data_dir, folder / "copy")
    ids = [task["id"] for request in [*before, *after] for task in request.tasks]
    bare = shutil.copytree(folder / "copy", folder / "bare")
    (bare / f"{JOURNAL}-wal").unlink()
    return Torn(folder / "copy", ids, len(await found(bare)))


async def found(data_dir: Path) -> list[str]:
    """The tasks that a start on this directory has."""
    journal = SqliteJournal(data_dir, SystemClock())
    loaded = await journal.load()
    await journal.close()
    return [task.id for task in loaded.tasks]


@pytest.fixture(scope="module")
def clerk() -> Iterator[Clerk]:
    """Runs `kazoo-tasks` as an operator would."""
    with Clerk() as started:
        yield started


def cut(torn: Torn, place: Path, name: str, at: int) -> Path:
    """A copy with one of its files cut."""
    shutil.copytree(torn.data_dir, place)
    with (place / name).open("r+b") as file:
        file.truncate(at)
    return place


def offsets(torn: Torn, name: str) -> list[int]:
    """Half of all cuts, anywhere in a file."""
    chance = Random(f"{SCALE.seed}/{name}")
    size = (torn.data_dir / name).stat().st_size
    return [chance.randrange(size) for _ in range(SCALE.file_cuts // 2)]


def test_the_files_are_whole_before_they_are_cut(torn: Torn, tmp_path: Path) -> None:
    """Everything that was acknowledged is there, some of it in the log alone."""
    copy = shutil.copytree(torn.data_dir, tmp_path / "copy")
    assert asyncio.run(found(copy)) == torn.ids
    assert len(torn.ids) == BEFORE + AFTER
    assert 0 < torn.floor < len(torn.ids)


def test_a_cut_log_costs_only_its_end(torn: Torn, tmp_path: Path, clerk: Clerk) -> None:
    """The command line works, and finds a prefix that is no shorter than what the file alone has."""
    lengths = set()
    for number, at in enumerate(offsets(torn, f"{JOURNAL}-wal")):
        place = cut(torn, tmp_path / str(number), f"{JOURNAL}-wal", at)
        assert clerk.run(place, "snapshot").code == 0, f"cut at {at}"
        ids = asyncio.run(found(place))
        assert ids == torn.ids[: len(ids)], f"cut at {at}"
        assert len(ids) >= torn.floor, f"cut at {at}"
        lengths.add(len(ids))
    assert len(lengths) > 1


def test_a_cut_file_is_whole_or_refused_with_the_way_out(torn: Torn, tmp_path: Path, clerk: Clerk) -> None:
    """Nothing is missing, or one sentence names a command, and that command gives the snapshot back."""
    refusals = 0
    for number, at in enumerate(offsets(torn, JOURNAL)):
        place = cut(torn, tmp_path / str(number), JOURNAL, at)
        said = clerk.run(place, "snapshot")
        if said.code == 0:
            assert asyncio.run(found(place)) == torn.ids, f"cut at {at}"
            continue
        assert said.code == CANNOT_START, f"cut at {at}: {said}"
        assert re.fullmatch(r"kazoo-tasks: [^\n]+\n", said.err), f"cut at {at}: {said}"
        advice = re.search(r"run: kazoo-tasks (restore \S+ --force)$", said.err.strip())
        assert advice, said.err
        assert clerk.run(place, *advice.group(1).split()).code == 0
        assert asyncio.run(found(place)) == torn.ids[:BEFORE]
        refusals += 1
    assert refusals


async def test_the_service_itself_refuses_too(torn: Torn, tmp_path: Path, amqp_url: str) -> None:
    """Its exit code is 78, and all that it says is the same sentence."""
    place = cut(torn, tmp_path / "data", JOURNAL, 4096 * 2 + 100)
    (place / f"{JOURNAL}-wal").unlink()
    async with a_lab(tmp_path / "lab", amqp_url, seed=SCALE.seed, settings={"data_dir": str(place)}) as lab:
        service = await lab.start(wait=False)
        assert await service.ended() == CANNOT_START
    (sentence,) = service.said
    assert "restore" in sentence
