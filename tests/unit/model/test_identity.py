"""Identifiers: only the right shapes are made and believed."""

import pytest

from kazoo_tasks.model.identity import is_account_id, seq_of, task_id


def test_an_id_needs_ten_random_bytes() -> None:
    """With the seq they are 30 hex characters, as Kazoo's have."""
    with pytest.raises(ValueError, match="10 bytes"):
        task_id(b"short", seq=1)


@pytest.mark.parametrize("seq", [1, 255, 10**9, 2**40 - 1])
def test_an_id_tells_the_seq_and_does_not_show_it(seq: int) -> None:
    """Beside another beginning the same seq looks otherwise."""
    one, other = task_id(b"0123456789", seq), task_id(b"9876543210", seq)
    assert seq_of(one) == seq_of(other) == seq
    assert one[-10:] != other[-10:] != f"{seq:010x}"


def test_a_seq_beyond_what_an_id_holds_begins_again() -> None:
    """An id is never longer; it would take a thousand tasks a second for 35 years."""
    assert task_id(b"0123456789", 2**40 + 7) == task_id(b"0123456789", 7)


@pytest.mark.parametrize("text", ["", "A" * 32, "a" * 31, "a" * 33, "g" * 32, "a" * 32 + "\n"])
def test_what_is_no_account_id_is_not_taken_for_one(text: str) -> None:
    """Also not with a newline, which `$` would let through."""
    assert not is_account_id(text)
