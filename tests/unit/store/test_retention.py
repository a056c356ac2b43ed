"""Names and rotation of snapshots."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from kazoo_tasks.model.gregorian import from_unix
from kazoo_tasks.store.retention import Keep, SnapshotRetention

DAY = 86_400
NOON = from_unix(datetime(2026, 3, 13, 12, tzinfo=UTC).timestamp())


def filled(path: Path, *ages: int) -> SnapshotRetention:
    """A directory with a snapshot for each age, oldest first."""
    retention = SnapshotRetention(path)
    for number, age in enumerate(ages, 1):
        retention.place(NOON - age, 1, number).touch()
    return retention


def numbers(retention: SnapshotRetention) -> list[int]:
    """The numbers of the snapshots, newest first."""
    return [snapshot.number for snapshot in retention.snapshots()]


def test_a_name_tells_time_start_and_number(tmp_path: Path) -> None:
    """In this order, so that names sort by time."""
    retention = filled(tmp_path, 0)
    (snapshot,) = retention.snapshots()
    assert snapshot.path.name == "20260313T120000Z-000001-0001.sqlite3"
    assert (snapshot.taken_at, snapshot.epoch) == (datetime(2026, 3, 13, 12, tzinfo=UTC), 1)


def test_newest_is_by_start_and_number(tmp_path: Path) -> None:
    """A clock that was set back between two snapshots changes nothing."""
    assert numbers(filled(tmp_path, 0, DAY)) == [2, 1]


def test_too_many_go(tmp_path: Path) -> None:
    """The oldest first."""
    retention = filled(tmp_path, 4, 3, 2, 1)
    gone = retention.rotate(Keep(count=2), NOON)
    assert (numbers(retention), len(gone)) == ([4, 3], 2)


def test_too_old_ones_go(tmp_path: Path) -> None:
    """By their date, not by the file's."""
    retention = filled(tmp_path, 9 * DAY, 8 * DAY, 6 * DAY, 2, 1, 0)
    retention.rotate(Keep(days=7), NOON)
    assert numbers(retention) == [6, 5, 4, 3]


def test_the_newest_always_stays(tmp_path: Path) -> None:
    """Whatever the rules say."""
    retention = filled(tmp_path, 90 * DAY, 80 * DAY)
    retention.rotate(Keep(count=0), NOON)
    assert numbers(retention) == [2]


def test_a_clock_that_is_set_ahead_takes_not_all_of_them(tmp_path: Path) -> None:
    """Ten years later all are too old."""
    retention = filled(tmp_path, 4, 3, 2, 1)
    retention.rotate(Keep(), NOON + 3_650 * DAY)
    assert numbers(retention) == [4, 3, 2]


def test_those_that_were_asked_for_take_the_place_of_no_other(tmp_path: Path) -> None:
    """However many there are."""
    retention = filled(tmp_path, 40, 30)
    for number in range(3, 30):
        retention.place(NOON, 1, number, asked=True).touch()
        retention.rotate(Keep(count=2), NOON)
    assert numbers(retention) == [29, 28, 27, 2, 1]


def test_other_files_are_let_be(tmp_path: Path) -> None:
    """Only what a cut-short snapshot left is swept away."""
    (tmp_path / "notes.txt").touch()
    (tmp_path / "20260313T120000Z-000001-0001.sqlite3.partial-journal").touch()
    retention = filled(tmp_path, 0)
    retention.sweep()
    retention.rotate(Keep(count=0), NOON)
    assert {path.suffix for path in tmp_path.iterdir()} == {".txt", ".sqlite3"}


def test_no_directory_is_no_snapshot(tmp_path: Path) -> None:
    """Before the first start there is none."""
    assert SnapshotRetention(tmp_path / "none").snapshots() == []
