"""Identifiers: only the right shapes are made and believed."""

import pytest

from kazoo_tasks.model.identity import is_account_id, task_id


def test_an_id_needs_fifteen_bytes() -> None:
    """30 hex characters, as Kazoo's have."""
    with pytest.raises(ValueError, match="15 bytes"):
        task_id(b"short")


@pytest.mark.parametrize("text", ["", "A" * 32, "a" * 31, "a" * 33, "g" * 32, "a" * 32 + "\n"])
def test_what_is_no_account_id_is_not_taken_for_one(text: str) -> None:
    """Also not with a newline, which `$` would let through."""
    assert not is_account_id(text)
