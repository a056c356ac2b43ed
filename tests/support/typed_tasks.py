"""Task functions that declare more than JSON has.

Imported by children and by the tests of what they are given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import TypedDict

from kazoo_tasks import task


class Colour(Enum):
    """An enumeration of mixed values."""

    RED = "red"
    TWO = 2


class Level(IntEnum):
    """Integers with names."""

    LOW = 1


@dataclass
class Call:
    """A dataclass with a type that JSON has not."""

    number: str
    at: datetime
    tags: set[str] = field(default_factory=set)


class Account(BaseModel):
    """A pydantic model."""

    id: UUID
    calls: list[Call] = []


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    day: date


class Event(TypedDict):
    """An object of which one part is none of JSON's."""

    at: datetime


def _types(value: object) -> object:
    if isinstance(value, list):
        return [_types(each) for each in value]
    return type(value).__name__


@task
def moments(moment: datetime, day: date, hour: time, length: timedelta) -> object:
    """Return times and what they were."""
    return [moment, day, hour, length, _types([moment, day, hour, length])]


@task
def values(key: UUID, price: Decimal, colour: Colour, level: Level | None = None) -> object:
    """Return values and what they were."""
    return [key, price, colour, level, _types([key, price, colour, level])]


@task
def holders(some: set[int], fixed: frozenset[str], pair: tuple[int, str], point: Point) -> object:
    """Return what holds others and what they were."""
    return [some, fixed, pair, point, _types([some, fixed, pair, point])]


@task
def objects(call: Call, account: Account, event: Event, *more: date) -> object:
    """Return objects and what they were."""
    return [call, account, event, more, _types([call, account, event["at"], *more])]


@task
def maps(by_number: dict[int, Decimal], plain: dict[str, int]) -> object:
    """Return a map of which the keys are none of JSON's."""
    return [by_number, plain, [type(key).__name__ for key in by_number]]


@task
def defaulted(day: date = "never") -> object:  # type: ignore[assignment]  # what is tried
    """Return a default that nothing converts."""
    return day
