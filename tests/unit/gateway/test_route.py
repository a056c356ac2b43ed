"""Paths, as sent."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.gateway.fault import FaultError
from kazoo_tasks.gateway.route import locate


class TestPaths:
    """What they lead to."""

    def test_parts_of_a_path(self) -> None:
        place = locate("/v2/accounts/a/tasks/%74/stop/")
        assert (place.account_id, place.task_id, place.resource.allowed) == ("a", "t", "OPTIONS, PATCH")

    def test_the_catalogue_has_no_account(self) -> None:
        assert locate("/v2/tasks").account_id is None

    @pytest.mark.parametrize("path", ["*", "", "v2/tasks", "http://x/v2/tasks", "/v2/tasks/x", "/v1/tasks"])
    def test_nowhere(self, path: str) -> None:
        with pytest.raises(FaultError, match="not_found"):
            locate(path)

    @given(st.text())
    def test_any_text_is_somewhere_or_not_found(self, tail: str) -> None:
        with suppress(FaultError):
            assert locate(f"/v2/accounts/a/tasks/{tail}").account_id == "a"
