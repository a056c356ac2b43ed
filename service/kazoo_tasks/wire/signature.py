"""What a function takes, read from its annotations, and whether given JSON values are that.

Uses pydantic; called by the catalogue once for each function, and for each task that is added.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.wire.validation import Problems, problems

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANYTHING = "any"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One positional parameter.

    Attributes:
        type: The JSON type in words, such as `string`, `integer, null` or `any`.
    """

    name: str
    type: str
    required: bool
    adapter: TypeAdapter[Any]


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
            if parameter is not None and parameter.type != _ANYTHING:
                found |= _mismatch(parameter.adapter, value, place)
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
    named = tuple(_parameter(p, hints) for p in parameters if p.kind in _POSITIONAL)
    rest = [_parameter(p, hints) for p in parameters if p.kind is p.VAR_POSITIONAL]
    return Signature(named, rest[0] if rest else None)


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    annotation = hints.get(parameter.name, object)
    try:
        adapter = _adapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        why = str(error).partition("\n")[0]
        raise CannotStart(
            f"expected {parameter.name!r} to be annotated with what JSON can hold: {why}"
        ) from error
    return Parameter(parameter.name, _type_name(adapter), parameter.default is parameter.empty, adapter)


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    """Strict: JSON knows its types, so `"5"` is no integer."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True))
    except PydanticUserError:  # a model brings its own configuration
        return TypeAdapter(annotation)


def _type_name(adapter: TypeAdapter[Any]) -> str:
    schema = adapter.json_schema()
    variants = schema.get("anyOf", [schema])
    names = [str(variant.get("type", "object" if "$ref" in variant else _ANYTHING)) for variant in variants]
    return ", ".join(dict.fromkeys(names))


def _mismatch(adapter: TypeAdapter[Any], value: object, place: int) -> Problems:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return problems(error, ("arguments", place))
    return {}
