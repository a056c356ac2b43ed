"""What a status means, and what a child may not say."""

from __future__ import annotations

import pytest

from kazoo_tasks.model.outcome import Failed, Failure, Succeeded
from kazoo_tasks.pool.verdict import Handling, of_death, of_failure, of_result

_WHO = "0.4711.1"


@pytest.mark.parametrize(
    ("status", "handling", "failure", "reason"),
    [
        (3, Handling(), Failure.EXIT, "exit code 3"),
        (-9, Handling(), Failure.KILLED, "signal 9 (SIGKILL)"),
        (-15, Handling(stop_asked=True), Failure.STOPPED, "stopped on request, by SIGTERM"),
        (
            -9,
            Handling(stop_asked=True, grace_s=5.0),
            Failure.STOPPED,
            "stopped on request, by SIGKILL after 5 s grace",
        ),
        (-9, Handling(stop_asked=True), Failure.STOPPED, "stopped on request, signal 9 (SIGKILL)"),
        (0, Handling(stop_asked=True), Failure.STOPPED, "stopped on request, exit code 0"),
        (-9, Handling(distrust="why"), Failure.KILLED, "signal 9 (SIGKILL), by the pool: why"),
    ],
)
def test_a_death_is_told_truthfully(status: int, handling: Handling, failure: Failure, reason: str) -> None:
    """Who did it and how."""
    assert of_death(_WHO, status, handling) == Failed(_WHO, failure, reason)


@pytest.mark.parametrize("result", [b"{", b"NaN", b"\xff", b"[" * 100_000, b'"\xed\xb0\x80"'])
def test_a_result_that_is_no_json_is_an_error(result: bytes) -> None:
    """A child's bytes go into replies, so they are checked."""
    outcome = of_result(_WHO, result, 1_000_000)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("expected the result to be JSON of at most 1000000 bytes, got ")


def test_a_result_is_passed_on_as_it_is() -> None:
    """Checked, not written anew; and its size is checked here as well."""
    assert of_result(_WHO, b'{"a" : 1}', 9) == Succeeded(b'{"a" : 1}')
    assert isinstance(of_result(_WHO, b'{"a" : 1}', 8), Failed)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"1",
        b'{"failure":"stopped","reason":"","trace":""}',
        b'{"failure":"error","reason":1,"trace":""}',
    ],
)
def test_a_child_may_speak_only_of_its_own_failure(said: bytes) -> None:
    """Anything else is not believed."""
    assert of_failure(_WHO, said) is None
