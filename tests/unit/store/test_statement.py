"""Named SQL."""

from __future__ import annotations

from kazoo_tasks.store.statement import SCHEMA, SQL, for_rows, parse


def test_blocks_are_found_by_name() -> None:
    """What stands before the first block is a comment."""
    assert parse("-- head\n-- name: a\nSELECT 1\n\n-- name: b\nSELECT\n 2\n") == {
        "a": "SELECT 1",
        "b": "SELECT\n 2",
    }


def test_rows_take_their_place() -> None:
    """One statement for as many rows as there are."""
    assert for_rows("remove_tasks", 1, 3) == "DELETE FROM task WHERE seq IN (VALUES (?),(?),(?))"


def test_every_version_of_the_schema_has_its_step() -> None:
    """The steps are numbered from 1 without a gap."""
    assert all(f"schema_{step}" in SQL for step in range(1, SCHEMA + 1))
