"""The JSON text of what a function returned, or what it should return instead.

Pure; used by pool.call, in the child process only: the service has the same rule in wire.codec and checks it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

#: As in wire.codec, which a child does not carry.
MAX_DEPTH: Final = 240
MAX_VALUES: Final = 131_072
_LEAST, _GREATEST = -(2**63), 2**64 - 1
#: The shortest run of digits that may be more than 64 bits.
_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))

_TOO_DEEP = f"more than {MAX_DEPTH} levels of nesting: return something flatter"
_TOO_LONG_INTEGER = "an integer beyond 64 bits: return integers beyond 64 bits as text"
#: What to return instead, by how Python's own words for what is wrong begin.
_INSTEAD: Final = {
    "Out of range float": "a float that is not finite: return None or text",
    "Circular reference": "a value that holds itself: return one that ends",
    "Exceeds the limit": _TOO_LONG_INTEGER,
    "keys must be": "a key that is no text: return a dict with text as keys",
}
_BYTES = (bytes, bytearray, memoryview)


class NoJson(Exception):
    """What was returned has no JSON form; the message says what it is and what to return instead."""


def encode(result: object, limit: int) -> bytes:
    """JSON text of a result, of at most so many bytes.

    Raises:
        NoJson: There is none, or it breaks the rule for all JSON.
    """
    if isinstance(result, str) and len(result) > limit:
        # Its JSON text, which has quotes besides, would be made only to be refused: for 1 GB in ten seconds and 3 GB.
        message = f"at least {len(result) + 2} bytes"
        raise NoJson(message)
    text = _text(result)
    if len(text) > limit:
        message = f"{len(text)} bytes"
        raise NoJson(message)
    if _LONG_NUMBER.search(text):
        _check_integers(text)
    if (brackets := text.count(b"[") + text.count(b"{")) > MAX_DEPTH:
        _check_depth(text)
    if brackets + text.count(b",") > MAX_VALUES:
        _check_values(text)
    if b"{" in text:
        _check_keys(result)
    return text


def _text(result: object) -> bytes:
    try:
        return _ENCODER.encode(result).encode()
    except UnicodeEncodeError as error:
        message = "half of a surrogate pair: return text that is Unicode"
        raise NoJson(message) from error
    except RecursionError as error:
        raise NoJson(_TOO_DEEP) from error
    except (TypeError, ValueError) as error:
        for beginning, instead in _INSTEAD.items():
            if str(error).startswith(beginning):
                raise NoJson(instead) from error
        raise


def _form(value: Any) -> object:
    """What to write for a value that the encoder does not know."""
    form = _written(value)
    _check_keys(form)
    return form


def _written(value: Any) -> object:
    for kinds, write in _FORMS:
        if isinstance(value, kinds):
            return write(value)
    if callable(getattr(type(value), "model_dump", None)):
        # A pydantic model, by its looks: pydantic is not imported here.
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    instead = "text, for example base64" if isinstance(value, _BYTES) else "text, a number, a list or a dict"
    message = f"{type(value).__name__}: return {instead}"
    raise NoJson(message)


def _items(value: set[Any] | frozenset[Any]) -> list[Any]:
    """In their order if they have one, so that equal results are equal text."""
    try:
        return sorted(value)
    except (TypeError, ArithmeticError):  # not one kind, or a Decimal that is no number
        return list(value)


def _duration(value: timedelta) -> str:
    """As ISO 8601 writes it.

    >>> _duration(timedelta(days=1, seconds=2.5)), _duration(timedelta(seconds=-1))
    ('P1DT2.500000S', '-P0DT1.000000S')
    """
    sign, length = ("-", -value) if value < timedelta() else ("", value)
    return f"{sign}P{length.days}DT{length.seconds}.{length.microseconds:06}S"


_FORMS: Final[tuple[tuple[Any, Callable[[Any], object]], ...]] = (
    (Enum, lambda member: member.value),
    ((datetime, date, time), lambda moment: moment.isoformat()),
    (timedelta, _duration),
    ((UUID, Decimal), str),
    ((set, frozenset), _items),
)
#: Made once: it costs more than to write a small result.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_form)


def _check_integers(text: bytes) -> None:
    json.loads(text, parse_int=_check_integer)


def _check_integer(digits: str) -> None:
    # Longer than any of 64 bits: not even converted, since that takes quadratic time.
    if len(digits) > len(str(_LEAST)) or not _LEAST <= int(digits) <= _GREATEST:
        raise NoJson(_TOO_LONG_INTEGER)


def _check_depth(text: bytes) -> None:
    brackets = _STRING.sub(b"", text).translate(None, _ALL_BUT_BRACKETS)
    for _ in range(MAX_DEPTH):
        # Each turn takes the innermost level away.
        brackets = brackets.replace(b"[]", b"()").replace(b"{}", b"()").replace(b"()", b"")
        if not brackets:
            return
    raise NoJson(_TOO_DEEP)


def _check_values(text: bytes) -> None:
    plain = _STRING.sub(b"", text)
    if sum(plain.count(mark) for mark in (b"[", b"{", b",")) > MAX_VALUES:
        message = f"more than {MAX_VALUES} values: return a part of them, or text"
        raise NoJson(message)


def _check_keys(value: object) -> None:
    """Refuse keys that become one text, of which all but one would be lost."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) and json.dumps(key, default=str) in value:
                message = (
                    f"the keys {key!r} and {json.dumps(key, default=str)!r}: return keys that differ as text"
                )
                raise NoJson(message)
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    for part in value:
        if isinstance(part, (dict, list, tuple)):
            _check_keys(part)
