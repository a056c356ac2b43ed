"""Signatures: what annotations allow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Annotated, Literal
from uuid import UUID

import pytest
from annotated_types import Gt
from typing_extensions import TypedDict

from kazoo_tasks.conversion import needs
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.wire.codec import encode
from kazoo_tasks.wire.signature import read_signature


class Call(TypedDict):
    """A structured argument."""

    number: str


class Colour(Enum):
    """Values of two types."""

    RED = "red"
    TWO = 2


@dataclass
class Holder:
    """Bytes, where one has to look for them."""

    content: bytes


@dataclass
class Holding:
    """An object with a number."""

    count: int


@dataclass
class Raising:
    """An object that cannot be made."""

    count: int

    def __post_init__(self) -> None:
        raise KeyError(self.count)


def everything(
    anything: object,
    text: str,
    number: Annotated[int, Gt(0)],
    word: Literal["a", "b"] = "a",
    call: Call | None = None,
    *rest: float,
) -> None:
    """One of each."""


def test_parameters_are_told_in_json_words() -> None:
    """So that a look-up needs no Python."""
    told = [
        (parameter.name, parameter.type, parameter.required)
        for parameter in read_signature(everything).parameters
    ]

    assert told == [
        ("anything", "any", True),
        ("text", "string", True),
        ("number", "integer", True),
        ("word", "string", False),
        ("call", "object, null", False),
    ]


@pytest.mark.parametrize(("count", "taken"), [(2, False), (3, True), (5, True), (9, True)])
def test_arity_counts_defaults_and_the_rest(count: int, *, taken: bool) -> None:
    """As Python itself would."""
    assert read_signature(everything).takes(count) is taken


def test_fitting_arguments_have_no_problems() -> None:
    """Whole numbers are floats too, in JSON."""
    assert not read_signature(everything).problems([object(), "x", 1, "b", {"number": "1"}, 1, 2.5])


def test_every_misfit_is_found_at_its_place() -> None:
    """Nothing is converted: JSON knows its types."""
    found = read_signature(everything).problems([None, 1, "2", "c", {"number": 1}, "x"])

    assert {path: list(rules) for path, rules in found.items()} == {
        "arguments.1": ["type"],
        "arguments.2": ["type"],
        "arguments.3": ["enum"],
        "arguments.4.number": ["type"],
        "arguments.5": ["type"],
    }


def test_a_true_is_no_integer() -> None:
    """Though it is one in Python."""
    assert read_signature(everything).problems([None, "x", True])


def test_a_keyword_that_must_be_given_cannot_be() -> None:
    """Arguments are an array."""

    def function(*, key: str) -> None:
        """Need a keyword."""

    with pytest.raises(CannotStart, match="keyword-only key"):
        read_signature(function)


def test_an_annotation_that_json_cannot_hold_is_refused() -> None:
    """At the start, not when somebody calls."""

    def function(value: pytest.Cache) -> None:
        """Want the impossible."""

    with pytest.raises(CannotStart, match="'value' to be annotated with what JSON can hold"):
        read_signature(function)


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (bytes, "got bytes: take text, for example base64"),
        (dict[str, list[bytes] | None], "got bytes: take text, for example base64"),
        (Holder, "got bytes: take text, for example base64"),
        (Callable[[], int], "CallableSchema"),
        (type[int], "no JSON value is a class"),
        (list[ModuleType], "module"),
        (Literal[Colour.RED], "annotate with the enumeration"),
        (object | list[type], "no JSON value is a class"),
    ],
)
def test_what_no_json_value_can_be_is_refused_by_name(annotation: object, why: str) -> None:
    """Before anybody calls, and before a child has it."""

    def function(value: object) -> None:
        """Want the impossible."""

    function.__annotations__["value"] = annotation
    with pytest.raises(CannotStart, match="'value' to be annotated with what JSON can hold") as refused:
        read_signature(function)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("annotation", "fits", "misfits"),
    [
        (datetime, ["2024-01-01T00:00:00Z"], [5, None, "x"]),
        (UUID, ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"], [5, "x"]),
        (Decimal, ["1.10", 1, 1.5], [True, "x", [1]]),
        (Colour, ["red", 2], ["blue", "2"]),
        (Colour | None, ["red", None], [5]),
        (set[int], [[1, 2]], [["1"], {}]),
        (tuple[int, str], [[1, "a"]], [[1], ["1", "a"], [1, "a", 2]]),
        (dict[int, str], [{"1": "a"}], [{"x": "a"}, {"1": 1}]),
        (Holding, [{"count": 1}], [{"count": "1"}, {}, 5]),
        (Annotated[Decimal, Gt(Decimal(0))], ["1"], ["-1"]),
        (Raising, [], [{"count": 1}]),
        (Literal[1, "a"], [1, "a"], [2, "b"]),
    ],
)
def test_the_json_form_of_a_type_is_taken_and_no_other(
    annotation: object, fits: list[object], misfits: list[object]
) -> None:
    """Strict as JSON is; and what is wrong can be told in a reply."""

    def function(value: object) -> None:
        """Declare something."""

    function.__annotations__["value"] = annotation
    signature = read_signature(function)
    assert not [value for value in fits if signature.problems([value])]
    for value in misfits:
        assert encode(signature.problems([value])) != b"{}"


@pytest.mark.parametrize(
    "annotation",
    [
        str,
        list[int],
        dict[str, float | None],
        Sequence[str],
        Annotated[int, Gt(0)],
        Call,
        Literal["a"],
        object,
    ],
)
def test_what_json_has_is_not_converted(annotation: object) -> None:
    """Such a function costs what it did, and its child carries no pydantic."""
    assert not needs(annotation)
