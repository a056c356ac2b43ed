"""Whatever a function returns or a child says: it is refused with a reason, or what is kept can be written anywhere."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from enum import Enum

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kazoo_tasks.model.outcome import Failed, Succeeded
from kazoo_tasks.pool.call import Runnable, call
from kazoo_tasks.pool.frame import Kind
from kazoo_tasks.pool.outcomes import of_failure, of_progress, of_result
from support.build import Unguarded

many = settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "300")), deadline=None)
_LIMIT = 10_000


class _Colour(Enum):
    RED = "red"
    MANY = (1, 2)


# Halves of surrogate pairs, infinities and integers of any length are among them.
_PLAIN = st.none() | st.booleans() | st.integers() | st.integers(2**62, 2**66) | st.floats() | st.text()
_HASHED = (
    _PLAIN
    | st.text(st.characters(categories=["Cs", "L"]), min_size=1)
    | st.sampled_from(_Colour)
    | st.uuids()
    | st.decimals().filter(lambda number: not number.is_snan())
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.binary()
    | st.complex_numbers()
)
_VALUES = st.recursive(
    _HASHED,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(_PLAIN, inner)
        | st.sets(_HASHED)
        | st.frozensets(_HASHED)
    ),
    max_leaves=20,
)
_SAID = st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
_KEYS = st.sampled_from(["failure", "reason", "trace", "done", "total", "note", "x"])
_FRAMES = (
    st.binary()
    | _SAID.map(lambda said: json.dumps(said).encode())
    | st.dictionaries(_KEYS, _SAID | st.sampled_from(["error", "exit", "killed"])).map(
        lambda said: json.dumps(said).encode()
    )
    | st.builds(
        lambda reason, trace: json.dumps({"failure": "error", "reason": reason, "trace": trace}).encode(),
        st.text(st.characters()),
        st.text(st.characters()),
    )
    | st.sampled_from(
        [b"1e400", b'{"done":1e400}', b'{"done":1,"done":2}', b'"\\ud800"', b"[" * 5_000, b"9" * 5_000]
    )
)


def _written(outcome: Failed | Succeeded) -> None:
    """Expect what every door needs: text that is read, and written as it is."""
    if isinstance(outcome, Failed):
        assert outcome.reason
        outcome.text().encode()
    elif outcome.result is not None:
        assert orjson.dumps(orjson.loads(outcome.result)) == outcome.result


@many
@given(_VALUES)
def test_any_result_is_refused_or_comes_back(value: object) -> None:
    """What the child writes is what the service keeps, and means the same."""
    frame = call(Runnable(lambda: value), "m.f", b"[]", _LIMIT, Unguarded())
    if frame.kind is Kind.FAILED:
        failed = of_failure("0.1.1", frame.payload)
        assert failed is not None
        _written(failed)
        return
    outcome = of_result("0.1.1", frame.payload, _LIMIT)
    assert isinstance(outcome, Succeeded)
    _written(outcome)
    assert json.loads(outcome.result or b"null") == json.loads(frame.payload or b"null")


@many
@given(_FRAMES)
def test_any_bytes_of_a_child_are_refused_or_can_be_written(said: bytes) -> None:
    """Nothing is raised, whatever the kind of the frame."""
    _written(of_result("0.1.1", said, _LIMIT))
    failed = of_failure("0.1.1", said)
    if failed is not None:
        failed.text().encode()
    progress = of_progress(said)
    if progress is not None:
        assert orjson.dumps(orjson.loads(progress)) == progress


@many
@given(st.timedeltas())
def test_a_length_of_time_comes_back(length: timedelta) -> None:
    """What is returned can be an argument again."""
    frame = call(Runnable(lambda: length), "m.f", b"[]", _LIMIT, Unguarded())
    assert TypeAdapter(timedelta).validate_json(frame.payload, strict=True) == length
