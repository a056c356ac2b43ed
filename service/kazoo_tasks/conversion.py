"""From the JSON values of a task to the types that its function declares, for the functions that declare such.

Standard library; pydantic comes along only where a function needs it, when its module is loaded and never for a call.
Used by wire.signature to check arguments, and by pool.child to make them: what fits in one fits in the other.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Required, Union, get_type_hints
from typing import get_args as arguments_of
from typing import get_origin as origin_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Converter = Callable[[Sequence[object]], list[object]]

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_Annotations = frozenset[object]
_NONE = type(None)
#: What a function that declares it gets from JSON as it is.
_PLAIN: _Annotations = frozenset({str, int, float, bool, None, _NONE, object, Any, list, dict})
#: The same, if what they hold is.
_HOLDERS: _Annotations = frozenset({list, Sequence, Iterable, Union, types.UnionType, Required, NotRequired})
_TABLES: _Annotations = frozenset({dict, Mapping})
#: JSON has keys that are text only.
_NO_KEYS: _Annotations = frozenset({int, float, bool, None, _NONE})
_WORDS = (str, int, bool, _NONE)


def converter(function: Callable[..., object]) -> Converter | None:
    """What makes a function's arguments of JSON values; `None` if it takes those as they are.

    Raises:
        TypeError: No JSON value can be what it declares; so may pydantic's own errors say.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    named = [_maker(hints.get(p.name, object)) for p in parameters if p.kind in POSITIONAL]
    rest = [_maker(hints.get(p.name, object)) for p in parameters if p.kind is p.VAR_POSITIONAL]
    if not any([*named, *rest]):
        return None

    def convert(values: Sequence[object]) -> list[object]:
        makers = [*named, *rest * (len(values) - len(named))]
        made = [make(value) if make else value for make, value in zip(makers, values, strict=False)]
        # Too many are for the call itself to refuse.
        return [*made, *values[len(made) :]]

    return convert


def needs(annotation: Any) -> bool:
    """Whether a function that declares this is to get anything but the JSON value itself.

    Raises:
        TypeError: No JSON value can be it.
    """
    return _needs(annotation, frozenset())


def adapter(annotation: Any) -> TypeAdapter[Any]:
    """What validates for an annotation. Strict: JSON knows its types, so `"5"` is no integer."""
    # Only functions that declare more than JSON are to pay for it, in every child.
    from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True))
    except PydanticUserError:  # a model brings its own configuration
        return TypeAdapter(annotation)


def converted(validator: TypeAdapter[Any], value: object) -> Any:
    """What is declared, made of its JSON form; strict, but for what has no other form, such as a date.

    Raises:
        ValidationError: The value is not its form.
    """
    return validator.validate_json(json.dumps(value), strict=True)


def _maker(annotation: Any) -> Callable[[object], object] | None:
    if not needs(annotation):
        return None
    validator = adapter(annotation)
    return lambda value: converted(validator, value)


def _needs(annotation: Any, seen: frozenset[int]) -> bool:
    bare = _bare(annotation)
    origin, parts = origin_of(bare), arguments_of(bare)
    if origin is Literal:
        return _literal_needs(parts)
    if bare is type or origin is type:
        raise TypeError("no JSON value is a class")
    if origin in _TABLES:
        return _bare(parts[0]) in _NO_KEYS or any(_needs(part, seen) for part in parts)
    if origin in _HOLDERS:
        # Each of them is looked at, for one may be what no JSON value is.
        found = [_needs(part, seen) for part in parts]
        return any(found)
    if hasattr(bare, "__required_keys__"):
        return _typed_dict_needs(bare, seen)
    return not _is_plain(bare)


def _bare(annotation: Any) -> Any:
    """Without what only bounds it or gives it another name."""
    while True:
        if origin_of(annotation) is Annotated:
            annotation = arguments_of(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation


def _is_plain(annotation: Any) -> bool:
    try:
        return annotation in _PLAIN
    except TypeError:  # it cannot be hashed
        return False


def _literal_needs(words: tuple[object, ...]) -> bool:
    for word in words:
        if type(word) not in _WORDS:
            message = f"no JSON value is {word!r}: annotate with the enumeration, or with text"
            raise TypeError(message)
    return False


def _typed_dict_needs(annotation: Any, seen: frozenset[int]) -> bool:
    if id(annotation) in seen:
        return False
    fields = get_type_hints(annotation, include_extras=True).values()
    found = [_needs(field, seen | {id(annotation)}) for field in fields]
    return any(found)
