"""What functions declare is what they get, in a real child, and what they return is JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from kazoo_tasks.core.catalogue import Catalogue
from support import typed_tasks
from support.pool import Bench, a_pool

_AT, _KEY = "2024-01-02T03:04:05.000006+01:00", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
_CALL = {"number": "1", "at": _AT, "tags": ["a", "b"]}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Give a pool that has the typed tasks."""
    async with a_pool(modules=("support.typed_tasks",)) as started:
        yield started


@pytest.mark.parametrize(
    ("function", "arguments", "types"),
    [
        (
            "moments",
            [_AT, "2024-01-02", "03:04:05", "P1DT5.500000S"],
            ["datetime", "date", "time", "timedelta"],
        ),
        ("values", [_KEY, "1.10", "red", 1], ["UUID", "Decimal", "Colour", "Level"]),
        ("values", [_KEY, "1.10", 2, None], ["UUID", "Decimal", "Colour", "NoneType"]),
        ("holders", [[1, 2], ["a"], [1, "x"], [3, "2024-01-02"]], ["set", "frozenset", "tuple", "Point"]),
        (
            "objects",
            [_CALL, {"id": _KEY, "calls": []}, {"at": _AT}],
            ["Call", "Account", "datetime"],
        ),
    ],
)
async def test_a_function_gets_what_it_declares_and_returns_it(
    bench: Bench, function: str, arguments: list[object], types: list[str]
) -> None:
    """There and back nothing changes; and the service has let it pass."""
    Catalogue([typed_tasks]).check("typed_tasks", function, arguments)
    returned = await bench.result(function, *arguments)
    assert isinstance(returned, list)
    assert returned[: len(arguments)] == arguments
    assert returned[-1] == types


async def test_the_rest_is_converted_too(bench: Bench) -> None:
    """Further arguments are what the star declares."""
    arguments = [_CALL, {"id": _KEY, "calls": [_CALL]}, {"at": _AT}, "2024-01-02", "2024-01-03"]
    returned = await bench.result("objects", *arguments)
    assert isinstance(returned, list)
    assert returned[3] == ["2024-01-02", "2024-01-03"]
    assert returned[-1][-2:] == ["date", "date"]


async def test_keys_may_be_more_than_text(bench: Bench) -> None:
    """JSON has only text for them."""
    returned = await bench.result("maps", {"1": "2.5"}, {"a": 1})
    assert returned == [{"1": "2.5"}, {"a": 1}, ["int"]]


async def test_a_default_is_what_it_is(bench: Bench) -> None:
    """Only what was sent is converted."""
    assert await bench.result("defaulted") == "never"


async def test_a_stored_argument_that_no_longer_fits_is_told(bench: Bench) -> None:
    """The function was changed since the task was added, and is not entered."""
    failure = await bench.failure("defaulted", "yesterday")
    assert failure.reason.startswith(
        "expected the arguments of typed_tasks.defaulted to be what it declares, got "
    )


def test_every_type_is_told_in_json_words() -> None:
    """A look-up needs no Python."""
    told = Catalogue([typed_tasks]).help()["typed_tasks"]
    words = {name: [argument["type"] for argument in entry["arguments"]] for name, entry in told.items()}
    assert words == {
        "moments": ["string"] * 4,
        "values": ["string", "number, string", "string, integer", "integer, null"],
        "holders": ["array"] * 4,
        "objects": ["object"] * 3,
        "maps": ["object"] * 2,
        "defaulted": ["string"],
    }
    json.dumps(told)
