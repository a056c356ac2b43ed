"""The codec: what it reads, and what it refuses to."""

import gzip
import json
import tracemalloc

import pytest

from kazoo_tasks.model.errors import Corrupt, TooLong
from kazoo_tasks.wire.codec import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    decode,
    decode_object,
    decode_reply,
    encode,
    kept,
    normal_text,
)


@pytest.mark.parametrize(
    ("body", "encoding", "reason"),
    [
        (b"", None, "JSON"),
        (b"{", None, "JSON"),
        (b"\xff\xfe", None, "JSON"),
        (b"[NaN]", None, "JSON"),
        (b'"\\ud800"', None, "JSON"),
        (b"[18446744073709551616]", None, "64 bits"),
        (b"[-9223372036854775809]", None, "64 bits"),
        (b"[" + b"9" * 100_000 + b"]", None, "64 bits"),
        (b"[" + b"9" * 300 + b"]", None, "64 bits"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), None, "levels"),
        (b"[" * 2000 + b"]" * 2000, None, "JSON"),
        (b" " * MAX_BODY_BYTES + b"[]", None, "bytes"),
        (b"not gzip", "gzip", "gzip"),
        (gzip.compress(b"[]", mtime=0)[:-9], "gzip", "cut"),
        (gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0), "gzip", "bytes"),
        (b"[]", "br", "br"),
        (b"[1e400]", None, "JSON"),
        (b'["x", -99999999999999999999 ]', None, "64 bits"),
        (b"[" + b"[]," * MAX_VALUES + b"1]", None, "values"),
        (b'["a"' + b',"\\\\"' * MAX_VALUES + b"]", None, "values"),
        (b"[" + b'"",' * (3 * MAX_VALUES) + b"1]", None, "values"),
        (gzip.compress(b" " * 7_000_000 + b"[]", mtime=0), "gzip", "unpack to at most"),
    ],
)
def test_what_is_no_sound_json_is_corrupt(body: bytes, encoding: str | None, reason: str) -> None:
    """And the reason says what was expected."""
    with pytest.raises(Corrupt, match=reason):
        decode(body, encoding)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b'"99999999999999999999"', "99999999999999999999"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b"[" + b"[]," * 200 + b"{}]", None),
        (b"[1" + b",1" * (MAX_VALUES - 1) + b"]", None),
        (b'["' + b',\\"\\\\' * MAX_VALUES + b'"]', None),
        (b"[0.18446744073709551616]", [0.18446744073709551616]),
        (b"[1.8446744073709551616e+19]", [2.0**64]),
    ],
)
def test_what_is_just_within_the_bounds_is_read(body: bytes, value: object) -> None:
    """A digit more in a string is a string."""
    read = decode(body)

    assert value is None or read == value


def test_gzip_is_understood() -> None:
    """As Kazoo sends it when its publisher asks."""
    assert decode(gzip.compress(b'{"a":1}'), "gzip") == {"a": 1}


def test_a_message_is_an_object() -> None:
    """Nothing else has keys."""
    with pytest.raises(Corrupt, match="object, got list"):
        decode_object(b"[]")


def test_what_is_written_may_be_longer_than_what_came() -> None:
    """The bound is one for what is kept: a million times `1e15` is stored four times as long."""
    assert normal_text(b'[ 1e15, "\\u00e4" ]', 100) == '[1000000000000000.0,"ä"]'.encode()
    with pytest.raises(TooLong, match="at most 20 bytes, got 24"):
        normal_text(b"[1e15,1,1]", 20)


def test_a_reply_of_an_older_release_is_read_as_it_is() -> None:
    """What cannot be written again stands out as such, and does not change."""
    read = decode_reply(b'{"a":1180591620717411303424,"b":1e400,"c":"\\ud800","d":1.5}')

    assert (read["a"], read["c"], read["d"]) == (2**70, "\ud800", 1.5)
    for key in "abc":
        with pytest.raises(TypeError):
            encode(read[key])


def test_what_is_kept_takes_no_more_memory_than_it_is_long() -> None:
    """Of a short text orjson keeps a block of 4 KiB: of a hundred thousand tasks that would be 400 MB."""
    texts = [kept(encode([number])) for number in range(10)]
    assert [json.loads(text) for text in texts] == [[number] for number in range(10)]
    tracemalloc.start()
    try:
        many = [kept(encode([number])) for number in range(1_000)]
        assert tracemalloc.get_traced_memory()[0] < 200 * len(many)
    finally:
        tracemalloc.stop()
