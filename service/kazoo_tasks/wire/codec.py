"""JSON text from and to Python values, with caps on size and depth.

Uses orjson; called by every door before anything looks at a message.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Final, NoReturn

import orjson

from kazoo_tasks.model.errors import Corrupt, TooLong

#: Kazoo's `crossbar.max_upload_size`.
MAX_BODY_BYTES: Final = 8_000_000
#: One task with the longest arguments, and a page of others.
MAX_REPLY_BYTES: Final = 4 * MAX_BODY_BYTES
#: orjson writes 254 levels and reads 1024; what is read here is written again inside of a few others.
MAX_DEPTH: Final = 240
_WRITABLE_DEPTH: Final = 254
_GZIP_WINDOW: Final = 31
_PLAIN: Final = (None, "", "identity", "utf-8", "UTF-8")
#: orjson turns integers beyond 64 bits into floats without a word; no shorter run of digits can be one: 2**63 has 19.
_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_INTEGER_BOUND: Final = 2**63

JsonText = orjson.Fragment


def encode(value: object) -> bytes:
    """JSON text of a value; `JsonText` parts go in as they are."""
    return orjson.dumps(value)


def log_line(event: Mapping[str, object], **_: object) -> bytes:
    """A line of the log as JSON text, whatever is in it: what JSON does not know is told by its `repr`."""
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half of a surrogate pair, or nested without end
        return json.dumps({key: repr(value) for key, value in event.items()}).encode()


def decode(body: bytes, content_encoding: str | None = None) -> object:
    """The value of a JSON text.

    Raises:
        Corrupt: It is no JSON, too long, too deep, has an integer beyond 64 bits, or its encoding is not gzip.
    """
    text = _unpacked(body, content_encoding, MAX_BODY_BYTES)
    value = _loaded(text)
    _check_depth(text, value)
    if _LONG_NUMBER.search(text):
        _check_integers(text)
    return value


def decode_object(body: bytes, content_encoding: str | None = None) -> dict[str, object]:
    """The value of a JSON text that must be an object.

    Raises:
        Corrupt: As `decode`, or it is another kind of value.
    """
    return _object(decode(body, content_encoding))


def decode_reply(body: bytes, content_encoding: str | None = None) -> dict[str, object]:
    """The object of a reply, which is larger and deeper than what was asked, and made by us.

    Raises:
        Corrupt: It is no JSON object, or longer than any reply of ours.
    """
    return _object(_loaded(_unpacked(body, content_encoding, MAX_REPLY_BYTES)))


def _loaded(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Corrupt(f"expected JSON, got: {error}") from error


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Corrupt(f"expected a JSON object, got {type(value).__name__}")
    return value


def _unpacked(body: bytes, content_encoding: str | None, limit: int) -> bytes:
    text = body if content_encoding in _PLAIN else _unzipped(body, content_encoding, limit)
    if len(text) > limit:
        raise TooLong(f"expected at most {limit} bytes, got {len(text)}")
    return text


def _unzipped(body: bytes, content_encoding: str | None, limit: int) -> bytes:
    if content_encoding != "gzip":
        raise Corrupt(f"expected content_encoding to be gzip, got {content_encoding!r}")
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise Corrupt(f"expected gzip, got: {error}") from error
    if not unpacker.eof and len(text) <= limit:
        raise Corrupt("expected gzip, got a cut stream")
    return text


def _check_depth(text: bytes, value: object) -> None:
    """Refuse what could be read and never be written again: a task, or a reply with one in it."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    for _ in range(_WRITABLE_DEPTH - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise Corrupt(f"expected at most {MAX_DEPTH} levels of nesting") from error


def _check_integers(text: bytes) -> None:
    json.loads(text, parse_int=_bounded)


def _bounded(digits: str) -> int:
    # Longer than any 64-bit integer: not even converted, since that takes quadratic time.
    if len(digits) > len(str(_INTEGER_BOUND)) + 1 or not -_INTEGER_BOUND <= int(digits) < 2 * _INTEGER_BOUND:
        _refuse(digits)
    return int(digits)


def _refuse(digits: str) -> NoReturn:
    raise Corrupt(f"expected integers to fit in 64 bits, got {digits[:32]}")
