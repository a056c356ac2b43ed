"""What a function returned is written as JSON, or it is said what to return instead."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel

from kazoo_tasks.pool import result as rule
from kazoo_tasks.pool.result import NoJson, encode
from kazoo_tasks.wire import codec

_KEY = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


class _Word(StrEnum):
    A = "a"


class _Number(IntEnum):
    ONE = 1


class _Pair(Enum):
    BOTH = (1, date(2024, 1, 2))


class _Point(NamedTuple):
    x: int
    y: Decimal


@dataclass
class _Held:
    inner: object


class _Model(BaseModel):
    at: date


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2024, 1, 2, 3, tzinfo=UTC), '"2024-01-02T03:00:00+00:00"'),
        (date(2024, 1, 2), '"2024-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(days=-1, seconds=1), '"-P0DT86399.000000S"'),
        (timedelta.min, '"-P999999999DT0.000000S"'),
        (UUID(_KEY), f'"{_KEY}"'),
        (Decimal("1.10"), '"1.10"'),
        (_Word.A, '"a"'),
        (_Number.ONE, "1"),
        (_Pair.BOTH, '[1,"2024-01-02"]'),
        (_Point(1, Decimal(2)), '[1,"2"]'),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset(["b", "a"]), '["a","b"]'),
        (_Held(_Held({Decimal(1)})), '{"inner":{"inner":["1"]}}'),
        (_Model(at=date(2024, 1, 2)), '{"at":"2024-01-02"}'),
        ({1: "a", None: "b", 2.5: "c"}, '{"1":"a","null":"b","2.5":"c"}'),
        ([-(2**63), 2**64 - 1], "[-9223372036854775808,18446744073709551615]"),
        ("1" * 30, f'"{"1" * 30}"'),
    ],
)
def test_what_has_a_json_form_is_written_in_it(value: object, text: str) -> None:
    """As an argument of that type is read."""
    assert encode(value, 1_000) == text.encode()


def _nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"[": value}
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"x", "bytes: return text, for example base64"),
        ([bytearray()], "bytearray: return text, for example base64"),
        (object(), "object: return text, a number, a list or a dict"),
        (_Held, "type: return text"),
        ([10**400], "an integer beyond 64 bits: return integers beyond 64 bits as text"),
        ([10**5000], "an integer beyond 64 bits"),
        ({"a": [2**64]}, "an integer beyond 64 bits"),
        (-(2**63) - 1, "an integer beyond 64 bits"),
        (float("inf"), "a float that is not finite: return None or text"),
        ("\udc80", "half of a surrogate pair"),
        ({"\ud800": 1}, "half of a surrogate pair"),
        (_nested(241), "more than 240 levels of nesting"),
        (_nested(100_000), "more than 240 levels of nesting"),
        ([0] * 131_073, "more than 131072 values"),
        ({1: "a", "1": "b"}, "the keys 1 and '1'"),
        ([({True: "a", "true": "b"},)], "the keys True and 'true'"),
        (_Held({None: 1, "null": 2}), "the keys None and 'null'"),
        ({(1, 2): 3}, "a key that is no text"),
        ({UUID(_KEY): 3}, "a key that is no text"),
    ],
)
def test_what_has_none_is_told_with_what_to_return_instead(value: object, said: str) -> None:
    """The author reads it in the task's error."""
    with pytest.raises(NoJson, match="^" + said.replace("(", r"\(")):
        encode(value, 10_000_000)


def test_a_value_that_holds_itself_is_told() -> None:
    """It would never end."""
    value: list[object] = []
    value.append(value)
    with pytest.raises(NoJson, match="a value that holds itself"):
        encode(value, 100)


def test_a_set_without_an_order_is_written_as_it_comes() -> None:
    """Text and numbers have none, nor has a Decimal that is no number."""
    for value in ({"a", 1}, {Decimal("NaN"), Decimal(1)}):
        assert len(json.loads(encode(value, 100))) == 2


def test_a_text_that_is_too_long_is_not_even_written() -> None:
    """A gigabyte would take three more and ten seconds, only to be refused; so its quotes are the least that it has."""
    with pytest.raises(NoJson, match=r"^at least 13 bytes$"):
        encode("\udc80" * 11, 10)


def test_what_is_just_within_the_rule_is_written() -> None:
    """Brackets and commas inside of text are none, and depth is not width."""
    for value in (_nested(240), [[]] * 1_000, ['[{,\\"' * 1_000] * 300, [0] * 131_071):
        assert json.loads(encode(value, 10_000_000)) == value


def test_the_rule_is_the_service_s() -> None:
    """A child carries none of its modules, so it has numbers of its own."""
    assert (rule.MAX_DEPTH, rule.MAX_VALUES) == (codec.MAX_DEPTH, codec.MAX_VALUES)
