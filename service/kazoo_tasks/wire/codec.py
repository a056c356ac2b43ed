"""JSON text from and to Python values, with caps on size and depth.

Uses orjson; called by every door before anything looks at a message.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from math import isfinite
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
#: Values of one text, keys not counted: ten thousand tasks with nine arguments each, which take 10 ms to parse.
MAX_VALUES: Final = 131_072
#: What so many packed bytes may become: JSON packs to a tenth, the same task ten thousand times to a 300th.
_GZIP_START_BYTES: Final = 1_000_000
_GZIP_RATIO: Final = 100
_GZIP_WINDOW: Final = 31
_PLAIN: Final = (None, "", "identity", "utf-8", "UTF-8")
#: The greatest integer that is written as one, and the least one's digits; no shorter run of digits can be beyond them.
_LONGEST: Final = b"%d" % (2**64 - 1)
_LOWEST: Final = b"%d" % 2**63
#: How a token looks that may be such an integer, once digits are made alike and whatever may stand before one, too.
_LONG_BEGINNING: Final = b"," + b"0" * len(_LONGEST)
_LOW_BEGINNING: Final = b"-" + b"0" * len(_LOWEST)
_ALIKE: Final = bytes.maketrans(b"123456789[: \t\r\n", b"000000000,,,,,,")
_AS_SPACE: Final = bytes.maketrans(b"[]{}:,", b"      ")

JsonText = orjson.Fragment


def encode(value: object) -> bytes:
    """JSON text of a value; `JsonText` parts go in as they are."""
    return orjson.dumps(value)


def kept(text: bytes) -> bytes:
    """The same text in as much memory as it takes: of a short one orjson holds a block of 4 KiB as long as it lives."""
    return bytes(memoryview(text))


def log_line(event: Mapping[str, object], **_: object) -> bytes:
    """A line of the log as JSON text, whatever is in it: what JSON does not know is told by its `repr`."""
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half of a surrogate pair, or nested without end
        return json.dumps({key: repr(value) for key, value in event.items()}).encode()


def decode(body: bytes, content_encoding: str | None = None) -> object:
    """The value of a JSON text.

    Raises:
        Corrupt: It breaks the rule of `parsed`, or its encoding is not gzip.
        TooLong: There is more of it than anybody may send.
    """
    return parsed(unpacked(body, content_encoding))


def unpacked(body: bytes, content_encoding: str | None = None) -> bytes:
    """The text of a body, which may be packed by gzip.

    Raises:
        Corrupt: It is packed otherwise, or not whole.
        TooLong: There is more of it than anybody may send, or than so few bytes may become.
    """
    return _unpacked(body, content_encoding, MAX_BODY_BYTES)


def parsed(text: bytes) -> object:
    """The value of a JSON text that can be written again at every door, and is the same there.

    The one rule for all that comes in: no more than `MAX_VALUES` and `MAX_DEPTH`, integers of 64 bits, finite numbers,
    text that is Unicode. How much there is is counted before anything is built of it.

    Raises:
        Corrupt: It is no JSON or breaks the rule.
    """
    _check_values(text)
    _check_integers(text)
    value = _loaded(text)
    _check_depth(text, value)
    return value


def normal_text(text: bytes, limit: int) -> bytes:
    """A JSON text as it is written at every door.

    Raises:
        Corrupt: It breaks the rule of `parsed`.
        TooLong: It is longer than `limit` bytes, as it came or as it would be written.
    """
    _check_size(text, limit)
    normal = orjson.dumps(parsed(text))
    _check_size(normal, limit)
    return normal


def decode_object(body: bytes, content_encoding: str | None = None) -> dict[str, object]:
    """The value of a JSON text that must be an object.

    Raises:
        Corrupt: As `decode`, or it is another kind of value.
    """
    return parsed_object(unpacked(body, content_encoding))


def parsed_object(text: bytes) -> dict[str, object]:
    """The value of a JSON text that must be an object.

    Raises:
        Corrupt: As `parsed`, or it is another kind of value.
    """
    return _object(parsed(text))


def decode_reply(body: bytes, content_encoding: str | None = None) -> dict[str, object]:
    """The object of a reply, which is larger and deeper than what was asked, and made by us.

    Raises:
        Corrupt: It is no JSON object, or longer than any reply of ours.
    """
    text = _unpacked(body, content_encoding, MAX_REPLY_BYTES)
    try:
        _check_integers(text)
        return _object(_loaded(text))
    except Corrupt:
        # A release before this took in what cannot be written; only that part is not to be shown, and nothing changed.
        return _object(_loaded_as_it_is(text))


def decode_stored(text: bytes) -> object:
    """The value of a JSON text that a release of ours has written, whatever it let in.

    Raises:
        Corrupt: It is no JSON.
    """
    try:
        return _loaded(text)
    except Corrupt:
        return _loaded_as_it_is(text)


def _loaded_as_it_is(text: bytes) -> object:
    try:
        return json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"expected JSON, got: {error}") from error


def _finite(digits: str) -> object:
    number = float(digits)
    return number if isfinite(number) else _Unwritable(digits)


class _Unwritable:
    """A number that JSON has and nobody can write."""

    def __init__(self, digits: str) -> None:
        self.digits = digits


def _loaded(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Corrupt(f"expected JSON, got: {error}") from error


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Corrupt(f"expected a JSON object, got {type(value).__name__}")
    return value


def _check_size(text: bytes, limit: int) -> None:
    if len(text) > limit:
        raise TooLong(f"expected at most {limit} bytes, got {len(text)}")


def _unpacked(body: bytes, content_encoding: str | None, limit: int) -> bytes:
    text = body if content_encoding in _PLAIN else _unzipped(body, content_encoding, limit)
    _check_size(text, limit)
    return text


def _unzipped(body: bytes, content_encoding: str | None, limit: int) -> bytes:
    if content_encoding != "gzip":
        raise Corrupt(f"expected content_encoding to be gzip, got {str(content_encoding)[:32]!r}")
    allowed = min(limit, _GZIP_START_BYTES + _GZIP_RATIO * len(body))
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = unpacker.decompress(body, allowed + 1)
    except zlib.error as error:
        raise Corrupt(f"expected gzip, got: {error}") from error
    if len(text) > allowed:
        said = f"expected {len(body)} bytes of gzip to unpack to at most {allowed} bytes, got more"
        raise TooLong(said)
    if not unpacker.eof:
        raise Corrupt("expected gzip, got a cut stream")
    return text


def _check_values(text: bytes) -> None:
    """Refuse what would be very many objects, before any is made: a megabyte of `[],` would be twenty as such."""
    if _count(text) > MAX_VALUES and _count(_outside_strings(text)) > MAX_VALUES:
        _refuse_crowd()


def _count(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{") + text.count(b",")


def _outside_strings(text: bytes) -> bytes:
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A string is a value or the key of one.
    if plain.count(b'"') > 4 * MAX_VALUES:
        _refuse_crowd()
    return b"".join(plain.split(b'"')[::2])


def _refuse_crowd() -> NoReturn:
    raise Corrupt(f"expected at most {MAX_VALUES} values, got more")


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
    """Refuse what orjson would turn into a float without a word."""
    alike = b"," + text.translate(_ALIKE)
    if _LONG_BEGINNING not in alike and _LOW_BEGINNING not in alike:
        return
    tokens = _outside_strings(text).translate(_AS_SPACE).split()
    for token in [token for token in tokens if len(token) >= len(_LONGEST)]:
        if _is_beyond(token):
            said = f"expected integers to fit in 64 bits (longer ones as text), got {token[:32].decode()}"
            raise Corrupt(said)


def _is_beyond(token: bytes) -> bool:
    digits, bound = (token[1:], _LOWEST) if token.startswith(b"-") else (token, _LONGEST)
    # Of numbers with as many digits the greater one comes later in the alphabet; of fewer digits there are none here.
    return digits.isdigit() and (len(digits) > len(bound) or digits > bound)
