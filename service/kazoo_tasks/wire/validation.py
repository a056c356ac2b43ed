"""Validation errors in Kazoo's shape and words.

Translates pydantic's; used by the AMQP and the REST door alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kazoo_tasks.model.errors import BadRequest
from kazoo_tasks.wire.codec import encode

Problems = dict[str, dict[str, dict[str, object]]]
_Model = TypeVar("_Model", bound=BaseModel)

#: So many problems are told; an answer must not be larger than what was asked.
MAX_PROBLEMS: Final = 20
#: More than these take pydantic longer to put into words than anybody may wait.
_MAX_COUNTED: Final = 200
#: Of a list with more items than that so many are looked at first.
_BEGINNING: Final = 50
#: What is shown of a value, as JSON text, and of a key.
ECHO_BYTES: Final = 200
_MAX_KEY: Final = 64
_ELLIPSIS: Final = "…"
#: How pydantic lists the words of a `Literal`.
_QUOTED = re.compile(r"'([^']*)'")
_STRICT = "Strict checking of data is enabled; only include schema-defined properties"
_TYPES: Final = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "bool_type": "boolean",
    "list_type": "array",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "none_required": "null",
}


def validated(model: type[_Model], value: object) -> _Model:
    """The model of a value.

    Raises:
        BadRequest: With its problems at once, the first `MAX_PROBLEMS` of them.
    """
    if isinstance(value, dict):
        _validate_beginning(model, value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadRequest(problems(error)) from error


def _validate_beginning(model: type[BaseModel], value: dict[str, Any]) -> None:
    """Look at the beginning of long lists first: pydantic takes 20 ms to find all that may be wrong with one."""
    if not any(isinstance(part, list) and len(part) > _MAX_COUNTED for part in value.values()):
        return
    beginning = {key: part[:_BEGINNING] if isinstance(part, list) else part for key, part in value.items()}
    try:
        model.model_validate(beginning)
    except ValidationError as error:
        raise BadRequest(problems(error)) from error


def problems(error: ValidationError, prefix: tuple[str | int, ...] = ()) -> Problems:
    """What pydantic found, as `{dotted path: {rule: {message, target?, value?}}}`: the first of it."""
    if (count := error.error_count()) > _MAX_COUNTED:
        return problem(
            _dotted(prefix) or "data", "invalid", f"There are {count} problems, too many to be told"
        )
    found = islice(error.errors(include_url=False), MAX_PROBLEMS)
    return merged((prefix + item["loc"], *_rule(item)) for item in found)


def echo(value: object) -> object:
    """A value as it is shown to the one who sent it: whole if it is short, else the beginning of its text."""
    text = encode(value[: ECHO_BYTES + 1] if isinstance(value, str) else value)
    if len(text) <= ECHO_BYTES:
        return value
    return text[:ECHO_BYTES].decode(errors="ignore") + _ELLIPSIS


def problem(path: str, rule: str, message: str, **more: object) -> Problems:
    """One problem that pydantic cannot see."""
    if "value" in more:
        more["value"] = echo(more["value"])
    return {path: {rule: {"message": message, **more}}}


def merged(found: Iterable[tuple[tuple[str | int, ...], str, dict[str, object]]]) -> Problems:
    """Problems gathered by path; several types at one path (a union) become one `type` rule."""
    result: Problems = {}
    for loc, rule, said in found:
        rules = result.setdefault(_dotted(loc) or "data", {})
        if rule == "type" and "type" in rules:
            targets = dict.fromkeys([*str(rules["type"]["target"]).split(", "), str(said["target"])])
            rules["type"] |= _type_rule(", ".join(targets))
        else:
            rules[rule] = said
    return result


def _dotted(loc: tuple[str | int, ...]) -> str:
    return ".".join(_short(str(part)).replace(".", "%2E") for part in loc)


def _short(key: str) -> str:
    return key if len(key) <= _MAX_KEY else key[:_MAX_KEY] + _ELLIPSIS


def _rule(item: ErrorDetails) -> tuple[str, dict[str, object]]:
    kind = item["type"]
    if kind == "missing":
        return "required", {"message": "Field is required but missing", "value": str(item["loc"][-1])}
    value = echo(item["input"])
    if kind == "extra_forbidden":
        return "additionalProperties", {"message": _STRICT, "value": value}
    if kind in _TYPES:
        return "type", {**_type_rule(_TYPES[kind]), "value": value}
    rule, said = _RULES.get(kind, _other)(item, item.get("ctx", {}))
    return rule, {**said, "value": value}


def _type_rule(target: str) -> dict[str, object]:
    return {"message": f"Value did not match type(s): {target}", "target": target}


def _other(item: ErrorDetails, _: dict[str, Any]) -> tuple[str, dict[str, object]]:
    said = item["msg"].removeprefix("Value error, ")
    return "invalid", {"message": said[:1].upper() + said[1:]}


def not_listed(path: str, words: Sequence[str], value: object) -> Problems:
    """The problem of a value that is none of the allowed words."""
    return {path: {"enum": {**_enum(words), "value": echo(value)}}}


def _literal(_: ErrorDetails, context: dict[str, Any]) -> tuple[str, dict[str, object]]:
    return "enum", _enum(_QUOTED.findall(context["expected"]))


def _one_of(item: ErrorDetails, _: dict[str, Any]) -> tuple[str, dict[str, object]]:
    return "oneOf", {"message": item["msg"]}


def _enum(words: Sequence[str]) -> dict[str, object]:
    message = f"Value not found in enumerated list of values: {', '.join(words)}"
    return {"message": message, "target": list(words)}


def _bound(
    rule: str, text: str, key: str
) -> Callable[[ErrorDetails, dict[str, Any]], tuple[str, dict[str, object]]]:
    def said(_: ErrorDetails, context: dict[str, Any]) -> tuple[str, dict[str, object]]:
        target = context[key]
        return rule, {"message": text.format(target), "target": target}

    return said


_RULES: Final = {
    "string_too_short": _bound("minLength", "String must be at least {} characters", "min_length"),
    "string_too_long": _bound("maxLength", "String must not be more than {} characters", "max_length"),
    "too_long": _bound("maxItems", "The list is more than {} items", "max_length"),
    "too_short": _bound("minItems", "The list must have at least {} items", "min_length"),
    "greater_than_equal": _bound("minimum", "Value must be at least {}", "ge"),
    "less_than_equal": _bound("maximum", "Value must be at most {}", "le"),
    "string_pattern_mismatch": _bound("pattern", "Failed to match pattern '{}'", "pattern"),
    "literal_error": _literal,
    "one_of": _one_of,
}
