"""Validation errors in Kazoo's shape and words.

Translates pydantic's; used by the AMQP and the REST door alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kazoo_tasks.model.errors import BadRequest

Problems = dict[str, dict[str, dict[str, object]]]
_Model = TypeVar("_Model", bound=BaseModel)

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
        BadRequest: With every problem at once.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadRequest(problems(error)) from error


def problems(error: ValidationError, prefix: tuple[str | int, ...] = ()) -> Problems:
    """What pydantic found, as `{dotted path: {rule: {message, target?, value?}}}`."""
    return merged((prefix + item["loc"], *_rule(item)) for item in error.errors(include_url=False))


def problem(path: str, rule: str, message: str, **more: object) -> Problems:
    """One problem that pydantic cannot see."""
    return {path: {rule: {"message": message, **more}}}


def merged(found: Iterable[tuple[tuple[str | int, ...], str, dict[str, object]]]) -> Problems:
    """Problems gathered by path; several types at one path (a union) become one `type` rule."""
    result: Problems = {}
    for loc, rule, said in found:
        rules = result.setdefault(_dotted(loc), {})
        if rule == "type" and "type" in rules:
            targets = dict.fromkeys([*str(rules["type"]["target"]).split(", "), str(said["target"])])
            rules["type"] |= _type_rule(", ".join(targets))
        else:
            rules[rule] = said
    return result


def _dotted(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part).replace(".", "%2E") for part in loc)


def _rule(item: ErrorDetails) -> tuple[str, dict[str, object]]:
    kind, value = item["type"], item["input"]
    if kind == "missing":
        return "required", {"message": "Field is required but missing", "value": str(item["loc"][-1])}
    if kind == "extra_forbidden":
        return "additionalProperties", {"message": _STRICT, "value": value}
    if kind in _TYPES:
        return "type", {**_type_rule(_TYPES[kind]), "value": value}
    rule, said = _RULES.get(kind, _other)(item, item.get("ctx", {}))
    return rule, {**said, "value": value}


def _type_rule(target: str) -> dict[str, object]:
    return {"message": f"Value did not match type(s): {target}", "target": target}


def _other(item: ErrorDetails, _: dict[str, Any]) -> tuple[str, dict[str, object]]:
    return "invalid", {"message": item["msg"]}


def not_listed(path: str, words: Sequence[str], value: object) -> Problems:
    """The problem of a value that is none of the allowed words."""
    return {path: {"enum": {**_enum(words), "value": value}}}


def _literal(_: ErrorDetails, context: dict[str, Any]) -> tuple[str, dict[str, object]]:
    return "enum", _enum(_QUOTED.findall(context["expected"]))


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
}
