"""The catalogue: what may run, and how it is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kazoo_tasks import task
from kazoo_tasks.authoring import Offer
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.errors import BadArguments, CannotStart
from kazoo_tasks.modules import erlang, timer
from support.build import a_module


def test_a_look_up_tells_what_kazoo_expects() -> None:
    """With what a caller needs to know on top."""
    told = Catalogue([timer, erlang]).help("timer", "sleep")["timer"]["sleep"]

    assert (told["description"], told["arity"]) == ("Wait for so many milliseconds.", 1)
    assert told["arguments"] == [{"name": "duration", "type": "any", "required": True}]
    assert (told["expected_content"], told["mandatory"], told["optional"]) == ("none", [], [])


@pytest.mark.parametrize(
    ("asked", "modules"),
    [
        ((None, None), ["timer", "erlang"]),
        (("timer", None), ["timer"]),
        (("x", None), []),
        (("timer", "x"), []),
    ],
)
def test_a_part_can_be_asked_for(asked: tuple[str | None, str | None], modules: list[str]) -> None:
    """What there is not is empty."""
    assert list(Catalogue([timer, erlang]).help(*asked)) == modules


def test_only_what_is_marked_is_offered() -> None:
    """An import or a helper in a task module is not."""

    @task
    def offered() -> None:
        """Be offered."""

    def hidden() -> None:
        """Be hidden."""

    catalogue = Catalogue([a_module("acme.tasks.x", offered=offered, hidden=hidden)])

    assert catalogue.names == ["x.offered"]


def test_a_module_that_offers_nothing_is_a_mistake() -> None:
    """Somebody forgot the decorator."""
    with pytest.raises(CannotStart, match="got none marked"):
        Catalogue([a_module("acme.empty")])


def test_two_modules_of_one_name_are_a_mistake() -> None:
    """A request could mean either."""
    with pytest.raises(CannotStart, match="two called 'timer'"):
        Catalogue([timer, a_module("acme.timer", sleep=timer.sleep)])


def test_an_asynchronous_generator_function_is_a_mistake() -> None:
    """It has no result."""

    @task
    async def work() -> AsyncIterator[None]:
        """Wait."""
        yield

    with pytest.raises(CannotStart, match=r"acme\.x\.work to be .* got an asynchronous generator function"):
        Catalogue([a_module("acme.x", work=work)])


@pytest.mark.parametrize("value", [0, -1, "5", True])
def test_a_limit_is_above_zero(value: Any) -> None:
    """Said where the function is defined."""
    with pytest.raises(ValueError, match=r"timeout_s to be a number above 0"):
        task(timeout_s=value)


def test_a_signature_that_cannot_be_called_names_its_function() -> None:
    """And what is wrong with it."""

    @task
    def work(*, key: str) -> None:
        """Need a keyword."""

    with pytest.raises(CannotStart, match=r"acme\.x\.work cannot be offered: .*keyword-only key"):
        Catalogue([a_module("acme.x", work=work)])


def test_an_offer_is_read_and_may_be_gone() -> None:
    """A stored task may outlive its module."""
    catalogue = Catalogue([timer, erlang])

    assert catalogue.offer("erlang", "get_cookie") == Offer(idempotent=True)
    assert catalogue.offer("timer", "sleep") == Offer()
    assert catalogue.offer("timer", "gone") is None
    assert catalogue.offer("gone", "sleep") is None


def test_arguments_have_a_bound_of_their_own() -> None:
    """As the text that is kept: what is short on the wire may be long in memory."""
    catalogue = Catalogue([timer], max_arguments_bytes=19)

    assert catalogue.check("timer", "sleep", [1e14]) == b"[100000000000000.0]"
    with pytest.raises(BadArguments) as refused:
        catalogue.check("timer", "sleep", [1e15])

    said = {"message": "Arguments must not be more than 19 bytes of JSON", "target": 19, "value": 20}
    assert refused.value.detail == {"arguments": {"maxBytes": said}}
