"""What a status means, and what a child may not say."""

from __future__ import annotations

import json

import pytest

from kazoo_tasks.model.outcome import Failed, Failure, Succeeded
from kazoo_tasks.pool.outcomes import Handling, of_death, of_failure, of_progress, of_result

_WHO = "0.4711.1"
#: JSON to Python's own parser, and not to whoever reads a reply.
UNKEEPABLE = (b"1" + b"0" * 400, b"1e400", b"[" * 260 + b"]" * 260, b'"\\ud800"', b"18446744073709551616")


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


@pytest.mark.parametrize("result", [b"{", b"NaN", b"\xff", b"[" * 100_000, b'"\xed\xb0\x80"', *UNKEEPABLE])
def test_a_result_that_is_no_json_is_an_error(result: bytes) -> None:
    """A child's bytes go into replies, so they are checked."""
    outcome = of_result(_WHO, result, 1_000_000)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(
        "expected the result to be JSON of at most 1000000 bytes, got something else: "
    )


def test_a_result_is_kept_as_it_is_written_at_every_door() -> None:
    """And its size is checked here as well."""
    assert of_result(_WHO, b'{"a" : 1, "a": 2e1}', 19) == Succeeded(b'{"a":20.0}')
    assert isinstance(of_result(_WHO, b'{"a" : 1}', 8), Failed)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"1",
        b'{"failure":"stopped","reason":"","trace":""}',
        b'{"failure":"error","reason":1,"trace":""}',
        b'{"failure":["error"],"reason":"","trace":""}',
        b'{"failure":"error","reason":"\\ud800","trace":""}',
        b'{"failure":"error","reason":"","trace":"\\udc00"}',
    ],
)
def test_a_child_may_speak_only_of_its_own_failure(said: bytes) -> None:
    """Anything else is not believed."""
    assert of_failure(_WHO, said) is None


def test_a_child_cannot_say_more_than_anybody_would_read() -> None:
    """An honest one cuts its words itself."""
    failed = of_failure(
        _WHO, b'{"failure":"error","reason":"' + b"x" * 9_999 + b'","trace":"' + b"y" * 99_999 + b'"}'
    )

    assert failed is not None
    assert len(failed.reason) == 1_024
    assert 32_760 < len(failed.trace.encode()) <= 32_768


def test_a_trace_is_bounded_in_bytes() -> None:
    """A character may be four of them."""
    said = json.dumps({"failure": "error", "reason": "", "trace": "😀" * 20_000}, ensure_ascii=False)
    failed = of_failure(_WHO, said.encode())

    assert failed is not None
    assert len(failed.trace.encode()) <= 32_768


@pytest.mark.parametrize(
    "said", [b"", b"[]", b'{"done":1e400}', b'{"done":-1}', b'{"done":1,"note":"\\ud800"}', b'{"x":1}']
)
def test_progress_that_is_none_is_not_believed(said: bytes) -> None:
    """It would stand in the task for everybody to read."""
    assert of_progress(said) is None
