"""Recorded conversations as they stand in their files: a header line, then what is done and what is seen.

Touches those files; used by the replayer, and by the tests that hold the recordings against something else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CONVERSATIONS: Final = Path(__file__).resolve().parents[1] / "replay" / "conversations"
#: One line of a file.
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """What a conversation is about, and what in it is different each time.

    Attributes:
        proves: The fact that it shows.
        example: The place in rest-api-spec.md whose printed answer it is, as `heading / sub-heading`.
        given: Values of placeholders that are this conversation's own.
        names: Placeholders that get their value where they are first seen, with the shape that it must have.
        volatile: For each kind of seen line, the paths whose values are not compared, and their shapes.
        deviates: Paths at which it is not as printed, with the reason.
    """

    title: str
    proves: str
    example: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    volatile: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    deviates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done, and all that must be seen of it, in that order."""

    do: Line
    see: list[Line]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One file: a scenario."""

    path: Path
    header: Header
    steps: list[Step]

    @property
    def seen(self) -> Iterator[Line]:
        """Every line of what is seen."""
        return (line for step in self.steps for line in step.see)

    def sees(self, kind: str) -> bool:
        """Whether it looks there at all."""
        return any(line["see"] == kind for line in self.seen)


def conversations() -> list[Conversation]:
    """All that are recorded."""
    return [load(path) for path in sorted(CONVERSATIONS.glob("*.jsonl"))]


def load(path: Path) -> Conversation:
    """Read one file."""
    header, *lines = [
        json.loads(line, object_pairs_hook=unique) for line in path.read_text("utf-8").splitlines()
    ]
    return Conversation(path, Header(**header), list(_steps(lines)))


def save(conversation: Conversation, steps: Iterable[Step]) -> None:
    """Write the conversation's file anew, with these steps below the header that it has."""
    header = conversation.path.read_text("utf-8").splitlines()[0]
    lines = (line for step in steps for line in (step.do, *step.see))
    written = [header, *(json.dumps(line, ensure_ascii=False) for line in lines)]
    conversation.path.write_text("\n".join(written) + "\n", "utf-8")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for `json.loads`; a key that is there twice is nobody's intention."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"expected each key once, got {[key for key, _ in pairs]}")
    return found


def look(value: Any, path: str) -> Any:
    """What is at a dotted path; `None` where it leads nowhere."""
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _steps(lines: Iterable[Line]) -> Iterator[Step]:
    step: Step | None = None
    for line in lines:
        if "do" in line:
            if step is not None:
                yield step
            step = Step(line, [])
        else:
            assert step is not None, f"expected something to be done before {line} is seen"
            step.see.append(line)
    if step is not None:
        yield step
