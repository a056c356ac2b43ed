"""Whatever a function does, there is an answer in words."""

from __future__ import annotations

import json
import sys

from typing_extensions import override

from kazoo_tasks.pool.call import MAX_REASON, MAX_TRACE_BYTES, Function, Runnable, call
from kazoo_tasks.pool.frame import Frame, Kind
from support.build import Unguarded


def _failure(function: Function, arguments: bytes = b"[]") -> dict[str, str]:
    frame = call(Runnable(function), "m.f", arguments, 100, Unguarded())
    assert frame.kind is Kind.FAILED
    told: dict[str, str] = json.loads(frame.payload)
    return told


def _raiser(error: BaseException) -> Function:
    def raise_it() -> None:
        raise error

    return raise_it


def test_a_result_is_compact_json() -> None:
    """No spaces, no escapes."""
    frame = call(Runnable(lambda: {"ä": [1, 2]}), "m.f", b"[]", 100, Unguarded())
    assert frame == Frame(Kind.RESULT, '{"ä":[1,2]}'.encode())


def test_wrong_arguments_are_an_error_without_frames_of_ours() -> None:
    """The function was not entered, so there is nothing of it to show."""
    told = _failure(lambda: None, b"[1]")
    assert told["failure"] == "error"
    assert "takes 0 positional arguments" in told["reason"]
    assert "File" not in told["trace"]


def test_arguments_that_are_no_json_are_an_error() -> None:
    """Nothing is called."""
    assert _failure(lambda: None, b"[")["reason"].startswith(
        "expected the arguments of m.f to be a JSON array"
    )


def test_an_exit_is_told_as_the_interpreter_would_choose_it() -> None:
    """None is 0, text is 1."""
    reasons = [_failure(lambda code=code: sys.exit(code))["reason"] for code in (None, 3, "bye")]
    assert reasons == ["exit code 0", "exit code 3", "exit code 1: SystemExit('bye')"]


def test_long_texts_are_cut() -> None:
    """The reason keeps its beginning, the trace its end."""
    told = _failure(_raiser(ValueError("ä" * 100_000 + "end")))
    assert len(told["reason"]) == MAX_REASON
    assert len(told["trace"].encode()) <= MAX_TRACE_BYTES
    assert told["trace"].endswith("end")


def test_lone_surrogates_are_written_with_backslashes() -> None:
    """They cannot be UTF-8."""
    assert _failure(_raiser(ValueError("\udc80")))["reason"] == "ValueError('\\udc80')"


def test_a_result_that_raises_when_encoded_is_an_error() -> None:
    """A dict of the function's own may do anything."""

    class Spiteful(dict[str, int]):
        @override
        def items(self) -> None:  # type: ignore[override]  # spite is what is tried
            raise SystemExit(1)

    assert "SystemExit" in _failure(lambda: Spiteful(a=1))["reason"]
