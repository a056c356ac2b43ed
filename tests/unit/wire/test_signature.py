"""Signatures: what annotations allow."""

from typing import Annotated, Literal

import pytest
from annotated_types import Gt
from typing_extensions import TypedDict

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.wire.signature import read_signature


class Call(TypedDict):
    """A structured argument."""

    number: str


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
