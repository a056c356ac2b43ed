"""The table of refusals covers what the service may say."""

from __future__ import annotations

from typing import get_args

from kazoo_tasks.gateway.fault import REFUSALS, UNREACHABLE, FaultError, fault_of, unknown
from kazoo_tasks.model.errors import BadRequest, BusUnavailable, CannotStart
from kazoo_tasks.wire.promise import Refusal


class TestTables:
    """One for words, one for exceptions."""

    def test_every_word_of_the_wire_has_an_answer(self) -> None:
        assert set(REFUSALS) == set(get_args(Refusal))

    def test_error_branches(self) -> None:
        assert fault_of(FaultError(unknown("x"))) == unknown("x")
        assert fault_of(BusUnavailable()) == UNREACHABLE
        invalid = fault_of(BadRequest({"a": {"type": {"message": "m"}}}))
        assert invalid is not None
        assert (invalid.status, invalid.data) == (400, {"a": {"type": {"message": "m"}}})

    def test_what_may_not_happen_has_none(self) -> None:
        assert fault_of(ZeroDivisionError()) is None
        assert fault_of(CannotStart()) is None
