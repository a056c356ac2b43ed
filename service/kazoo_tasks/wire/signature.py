"""What a function takes, read from its annotations, and whether given JSON values are that.

Uses pydantic; called by the catalogue once for each function, and for each task that is added.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from kazoo_tasks.conversion import POSITIONAL, adapter, converted, needs
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.wire.codec import encode
from kazoo_tasks.wire.validation import Problems, problem, problems

_ANYTHING = "any"
_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One positional parameter.

    Attributes:
        type: The JSON type in words, such as `string`, `integer, null` or `any`.
        converts: The function gets what is made of the JSON value, not the value itself.
    """

    name: str
    type: str
    required: bool
    adapter: TypeAdapter[Any]
    converts: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """The positional parameters of a function, and what any further arguments must be."""

    parameters: tuple[Parameter, ...]
    rest: Parameter | None = None

    @property
    def arity(self) -> int:
        """How many arguments it has a name for."""
        return len(self.parameters)

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        least = sum(parameter.required for parameter in self.parameters)
        return least <= count and (self.rest is not None or count <= self.arity)

    def problems(self, arguments: Sequence[object]) -> Problems:
        """What is wrong with arguments of a number that it takes; empty if nothing is."""
        found: Problems = {}
        for place, value in enumerate(arguments):
            parameter = self.parameters[place] if place < self.arity else self.rest
            if parameter is not None and (parameter.converts or parameter.type != _ANYTHING):
                found |= _mismatch(parameter, value, place)
        return found


def read_signature(function: Callable[..., object]) -> Signature:
    """Read the parameters of a function.

    Raises:
        CannotStart: It cannot be called with positional JSON values, or an annotation is not understood.
    """
    parameters = inspect.signature(function).parameters.values()
    hints = get_type_hints(function, include_extras=True)
    if needed := [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]:
        raise CannotStart(f"expected all parameters to be positional, got keyword-only {', '.join(needed)}")
    named = tuple(_parameter(p, hints) for p in parameters if p.kind in POSITIONAL)
    rest = [_parameter(p, hints) for p in parameters if p.kind is p.VAR_POSITIONAL]
    return Signature(named, rest[0] if rest else None)


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    annotation = hints.get(parameter.name, object)
    try:
        converts = needs(annotation)
        validator = adapter(annotation)
        schema = _schema(validator)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise CannotStart(
            f"expected {parameter.name!r} to be annotated with what JSON can hold: {why}"
        ) from error
    if _has_bytes(schema):
        raise CannotStart(
            f"expected {parameter.name!r} to be annotated with what JSON can hold, got bytes: "
            "take text, for example base64"
        )
    types = ", ".join(dict.fromkeys(_types(schema, schema.get("$defs", {}))))
    return Parameter(parameter.name, types, parameter.default is parameter.empty, validator, converts)


def _schema(validator: TypeAdapter[Any]) -> dict[str, Any]:
    with warnings.catch_warnings():
        # A default that JSON cannot hold is left out of the schema, where nobody looks for it.
        warnings.simplefilter("ignore")
        return validator.json_schema()


def _has_bytes(part: object) -> bool:
    """Whether bytes are in it, however deep: pydantic would take any text for some, and no text for others."""
    if isinstance(part, dict):
        if part.get("type") == "string" and part.get("format") == "binary":
            return True
        part = list(part.values())
    return isinstance(part, list) and any(_has_bytes(each) for each in part)


def _types(schema: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        # A reference to itself ends here, too: only unions are followed, and those of a model are inside of it.
        yield from _types(known.get(schema["$ref"].rpartition("/")[2], {"type": "object"}), known)
    elif variants := schema.get("anyOf", schema.get("oneOf")):
        for variant in variants:
            yield from _types(variant, known)
    elif "type" in schema or "enum" not in schema:
        yield str(schema.get("type", _ANYTHING))
    else:
        yield from (_WORDS.get(type(word), _ANYTHING) for word in schema["enum"])


def _mismatch(parameter: Parameter, value: object, place: int) -> Problems:
    try:
        if parameter.converts:
            converted(parameter.adapter, value)
        else:
            parameter.adapter.validate_python(value, strict=True)
    except ValidationError as error:
        return _told(error, place)
    except Exception as error:  # noqa: BLE001 - the boundary: a class of a task module may raise anything when made
        return _unfit(error, place)
    return {}


def _told(error: ValidationError, place: int) -> Problems:
    try:
        found = problems(error, ("arguments", place))
        encode(found)
    except TypeError:  # a validator of a task module said what JSON cannot hold
        return _unfit(error, place)
    return found


def _unfit(error: Exception, place: int) -> Problems:
    message = f"Value is not what the function declares: {type(error).__name__}"
    return problem(f"arguments.{place}", "invalid", message)
