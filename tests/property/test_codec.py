"""Bytes from outside: whatever they are, they are read or refused, never more."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.model.errors import BadRequest, Corrupt
from kazoo_tasks.wire.codec import decode, decode_object, encode
from kazoo_tasks.wire.request import REQUESTS, parse_request

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
KEYS = st.sampled_from(["Account-ID", "Module", "Arguments", "Tasks", "Task-ID", "Start", "Page-Size", "x"])


@given(st.binary(), st.sampled_from([None, "gzip", "br"]))
def test_any_bytes_are_read_or_corrupt(body: bytes, encoding: str | None) -> None:
    """No other exception comes out."""
    with suppress(Corrupt):
        decode_object(body, encoding)


@given(JSON)
def test_what_is_written_is_read_again(value: object) -> None:
    """Nothing is lost, no number changes."""
    with suppress(Corrupt):  # deeper than the cap
        assert encode(decode(encode(value))) == encode(value)


@given(st.lists(st.integers(-(2**70), 2**70) | st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_integers_are_exact_or_refused(values: list[object]) -> None:
    """Whatever stands beside them, and in whatever text."""
    text = json.dumps(values).encode()
    if all(not isinstance(value, int) or -(2**63) <= value < 2**64 for value in values):
        assert decode(text) == values
    else:
        with pytest.raises(Corrupt, match="64 bits"):
            decode(text)


@given(st.sampled_from([*REQUESTS, "other"]) | JSON, st.dictionaries(KEYS, JSON))
def test_any_object_is_a_request_or_a_bad_one(event: object, fields: dict[str, object]) -> None:
    """And its problems can be written as JSON."""
    message = {"Event-Name": event, "Event-Category": "tasks", "Msg-ID": "m", **fields}
    try:
        parse_request(message)
    except BadRequest as error:
        encode(error.problems)
