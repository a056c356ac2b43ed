"""Which keys may be sent and which bindings they match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.bus.routing import check_key, routes, topic_matches
from kazoo_tasks.model.errors import Corrupt

WORDS = st.lists(st.sampled_from(["a", "b", "tasks", ""]), min_size=1, max_size=6).map(".".join)
PATTERNS = st.lists(st.sampled_from(["a", "tasks", "*", "#", ""]), min_size=1, max_size=6).map(".".join)


def naive(pattern: list[str], words: list[str]) -> bool:
    """Say what the specification says, word by word."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(naive(pattern[1:], words[i:]) for i in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and naive(pattern[1:], words[1:])


@given(PATTERNS, WORDS)
def test_matching_is_what_the_specification_says(pattern: str, key: str) -> None:
    """The quick way and the obvious way agree."""
    assert topic_matches(pattern, key) == naive(pattern.split("."), key.split("."))


@given(WORDS)
def test_a_pattern_without_wildcards_matches_itself_and_hash_everything(key: str) -> None:
    """However many words there are."""
    assert topic_matches(key, key)
    assert topic_matches("#", key)
    assert topic_matches(f"{key}.#", key)


@pytest.mark.parametrize(
    ("exchange", "binding", "key", "expected"),
    [
        ("tasks", "tasks.*", "tasks.add", True),
        ("tasks", "tasks.*", "tasks.event.a", False),
        ("tasks", "tasks.*", "tasks", False),
        ("targeted", "a-1", "a-1", True),
        ("targeted", "*", "a-1", False),
        ("nodes", "", "whatever", True),
    ],
)
def test_each_exchange_routes_by_its_type(exchange: str, binding: str, key: str, *, expected: bool) -> None:
    """Topic by pattern, direct by equality, fanout always."""
    assert routes(exchange, binding, key) is expected


def test_a_key_is_measured_in_bytes() -> None:
    """255 fit, 256 do not."""
    check_key("x" * 255)
    with pytest.raises(Corrupt, match=re.escape("expected a routing key of at most 255 bytes, got 256")):
        check_key("ü" * 128)
