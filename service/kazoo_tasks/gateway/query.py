"""The parameters of a list, from a URL's query to the request's fields.

Pure; called by the pipeline, which parses the query, and by the list verb, which checks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from kazoo_tasks.model.errors import BadRequest
from kazoo_tasks.model.task import STATUSES
from kazoo_tasks.wire.field import MAX_PAGE
from kazoo_tasks.wire.validation import Problems, not_listed, problem

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_MAX_NAME: Final = 64
_MAX_KEY: Final = 255
_NOTHING: Final[Mapping[str, str]] = {}

#: Finds the field's value of a parameter's value, or says the rule that it breaks.
_Reader = Callable[[str, str], "str | int | Problems"]


def parse_query(raw: str) -> Mapping[str, str]:
    """The last value of each parameter; bytes that are no UTF-8 come out as replacement characters."""
    if not raw:
        return _NOTHING
    text = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def list_fields(query: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `list_req`; parameters that mean nothing here are ignored.

    Raises:
        BadRequest: With every parameter that is wrong.
    """
    return _fields(query, _LIST)


def log_fields(query: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `log_req`, as `list_fields`."""
    return _fields(query, _LOG)


def audit_fields(query: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an `audit_req`, as `list_fields`."""
    return _fields(query, _PAGE)


def _fields(query: Mapping[str, str], known: Mapping[str, tuple[str, _Reader]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    problems: Problems = {}
    for name, (field, read) in known.items():
        if name not in query:
            continue
        value = read(name, query[name])
        if isinstance(value, dict):
            problems |= value
        else:
            fields[field] = value
    if problems:
        raise BadRequest(problems)
    return fields


def _integer(least: int, most: int | None = None) -> _Reader:
    def read(name: str, value: str) -> int | Problems:
        if not _INTEGER.fullmatch(value):
            said = "Value did not match type(s): integer"
            return problem(name, "type", said, target="integer", value=value)
        number = int(value)
        if number < least:
            return problem(name, "minimum", f"Value must be at least {least}", target=least, value=number)
        if most is not None and number > most:
            return problem(name, "maximum", f"Value must be at most {most}", target=most, value=number)
        return number

    return read


def _text(most: int) -> _Reader:
    def read(name: str, value: str) -> str | Problems:
        if not value:
            said = "String must be at least 1 characters"
            return problem(name, "minLength", said, target=1, value=value)
        if len(value) > most:
            said = f"String must not be more than {most} characters"
            return problem(name, "maxLength", said, target=most, value=value)
        return value

    return read


def _status(name: str, value: str) -> str | Problems:
    if value in STATUSES:
        return value
    return not_listed(name, STATUSES, value)


_PAGE: Final[Mapping[str, tuple[str, _Reader]]] = {
    "page_size": ("Page-Size", _integer(1, MAX_PAGE)),
    "start_key": ("Start-Key", _text(_MAX_KEY)),
}
_LIST: Final[Mapping[str, tuple[str, _Reader]]] = {
    **_PAGE,
    "status": ("Status", _status),
    "module": ("Module", _text(_MAX_NAME)),
    "function": ("Function", _text(_MAX_NAME)),
    "created_from": ("Created-From", _integer(0)),
    "created_to": ("Created-To", _integer(0)),
}
_LOG: Final[Mapping[str, tuple[str, _Reader]]] = {"attempt": ("Attempt", _integer(1))}
