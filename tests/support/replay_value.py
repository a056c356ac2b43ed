"""Values of recorded conversations: placeholders, shapes of what is volatile, and the comparison.

Pure; used by the replayer for each line that is seen, and by tests that read recordings without playing them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from support.replay import Header

#: The name of the service in all recordings.
NODE: Final = "kazoo-tasks@replay"
_PLACEHOLDER: Final = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
#: Shorter values are too likely to stand somewhere by chance to be written as their placeholder.
_TELLING: Final = 12
#: The Gregorian years 2015 to 2218.
_TIMES: Final = range(63_587_000_000, 70_000_000_000)
_RUNS_S: Final = range(3_600)
_TEXTS: Final = {
    "failure": r"\(<\d+\.\d+\.\d+>\) (error|exit|timeout|killed|stopped|interrupted): [^\n]+(\n.+)?",
    "hex32": r"[0-9a-f]{32}",
    "task_id": r"[0-9a-f]{30}",
    "start_key": r"[A-Za-z0-9_-]{1,64}",
    "etag": r'W/"[0-9a-f]{32}"',
}
_SAMPLES: Final[Mapping[str, Any]] = {
    "hex32": "0123456789abcdef" * 2,
    "task_id": "0123456789abcde" * 2,
    "start_key": "czE",
    "etag": f'W/"{"0" * 32}"',
    "gregorian": 63_631_324_961,
    "seconds": 100,
    "number": 1,
    "failure": "(<0.29082.4>) error: timeout_value",
}


def has_shape(value: object, shape: str) -> bool:
    """Whether a value is of a named shape, or is a text that matches a `/regular expression/`."""
    if shape == "gregorian":
        return type(value) is int and value in _TIMES
    if shape == "seconds":
        return type(value) is int and value in _RUNS_S
    if shape == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    pattern = shape[1:-1] if shape.startswith("/") else _TEXTS[shape]
    return isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL) is not None


def same(one: object, other: object) -> bool:
    """Equal as JSON: neither is `1` the same as `true`, nor as `1.0`."""
    return type(one) is type(other) and one == other


def placeholder(value: object) -> str | None:
    """The name of the placeholder that a text is, if it is nothing else."""
    found = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


class Scope:
    """What the placeholders of one conversation stand for so far."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Begin with these."""
        self._values = dict(values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def bind(self, name: str, value: object) -> None:
        """From now on the placeholder stands for this."""
        self._values[name] = value

    def fill(self, template: Any) -> Any:
        """The template with values instead of placeholders; one that is a whole text may become a number."""
        if isinstance(template, dict):
            return {self.fill(key): self.fill(value) for key, value in template.items()}
        if isinstance(template, list):
            return [self.fill(part) for part in template]
        if not isinstance(template, str):
            return template
        name = placeholder(template)
        if name is not None and name in self:
            return self._values[name]
        return _PLACEHOLDER.sub(self._text, template)

    def hide(self, value: Any) -> Any:
        """A value as it is recorded: with placeholders where what they stand for is telling."""
        if not isinstance(value, str):
            return value
        if value == self._values.get("VERSION"):
            return "{VERSION}"
        telling = {name: known for name, known in self._values.items() if _is_telling(known)}
        for name in sorted(telling, key=lambda name: len(telling[name]), reverse=True):
            value = value.replace(telling[name], f"{{{name}}}")
        return value

    def _text(self, found: re.Match[str]) -> str:
        assert found[1] in self, f"expected {found[0]} to stand for something by now"
        value = self._values[found[1]]
        return value if isinstance(value, str) else json.dumps(value)


def sampled(header: Header) -> Scope:
    """For those who only read: every placeholder of a conversation stands for something of its shape."""
    return Scope(
        {
            "ACCOUNT_ID": "a" * 32,
            "AUTH_TOKEN": "token",
            "OTHER_ACCOUNT_ID": "b" * 32,
            "OTHER_AUTH_TOKEN": "other-token",
            "INBOX": "replay-inbox",
            "GATEWAY": "gateway-inbox",
            "NODE": NODE,
            "VERSION": "1.2.3",
            **header.given,
            **{name: _SAMPLES.get(shape, "some text") for name, shape in header.names.items()},
        }
    )


@dataclass(slots=True)
class Judge:
    """Compares what is seen with what was recorded, and binds names on the way.

    Attributes:
        names: The shapes of placeholders that are bound where they are first seen.
        volatile: The shapes of paths that are not compared.
        used: Which of these paths were met.
    """

    scope: Scope
    names: Mapping[str, str]
    volatile: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    def differences(self, expected: Any, actual: Any, path: str = "") -> Iterator[str]:
        """Everything that is not as recorded, a sentence each."""
        shape = self._shape(path)
        if shape is not None:
            if not has_shape(actual, shape):
                yield f"{path}: expected {shape}, got {actual!r}"
        elif isinstance(expected, dict) and isinstance(actual, dict):
            yield from self._in_object(expected, actual, path)
        elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
            for place, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
                yield from self.differences(wanted, got, _join(path, place))
        else:
            yield from self._in_value(expected, actual, path)

    def recorded(self, old: Any, actual: Any, path: str = "") -> Any:
        """What is seen, as it is to be recorded: in the old words where they still say the same."""
        shape = self._shape(path)
        if shape is not None:
            return old if has_shape(old, shape) else actual
        if isinstance(actual, dict):
            before = old if isinstance(old, dict) else {}
            return {
                key: self.recorded(before.get(key), part, _join(path, key)) for key, part in actual.items()
            }
        if isinstance(actual, list):
            words = [*old, *[None] * len(actual)] if isinstance(old, list) else [None] * len(actual)
            return [
                self.recorded(words[place], part, _join(path, place)) for place, part in enumerate(actual)
            ]
        self._bind(old, actual)
        return old if self._says(old, actual) else self.scope.hide(actual)

    def _in_object(self, expected: dict[str, Any], actual: dict[str, Any], path: str) -> Iterator[str]:
        if missing := [key for key in expected if key not in actual]:
            yield f"{path or 'top'}: expected the keys {missing}"
        if extra := [key for key in actual if key not in expected]:
            yield f"{path or 'top'}: expected no keys {extra}"
        for key, value in expected.items():
            if key in actual:
                yield from self.differences(value, actual[key], _join(path, key))

    def _in_value(self, expected: Any, actual: Any, path: str) -> Iterator[str]:
        name = self._bind(expected, actual)
        if name is not None and not has_shape(actual, self.names[name]):
            yield f"{path}: expected {self.names[name]}, got {actual!r}"
        wanted = self.scope.fill(expected)
        if not same(wanted, actual):
            yield f"{path}: expected {wanted!r}, got {actual!r}"

    def _bind(self, expected: Any, actual: Any) -> str | None:
        name = placeholder(expected)
        if name is None or name in self.scope or name not in self.names:
            return None
        self.scope.bind(name, actual)
        return name

    def _says(self, old: Any, actual: Any) -> bool:
        try:
            return same(self.scope.fill(old), actual)
        except AssertionError:
            return False

    def _shape(self, path: str) -> str | None:
        for pattern, shape in self.volatile.items():
            if re.fullmatch(re.escape(pattern).replace(r"\*", r"\d+"), path):
                self.used.add(pattern)
                return shape
        return None


def _is_telling(value: object) -> bool:
    return isinstance(value, str) and len(value) >= _TELLING


def _join(path: str, part: str | int) -> str:
    return f"{path}.{part}" if path else str(part)
