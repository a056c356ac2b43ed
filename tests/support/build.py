"""Builders with defaults: a test names only what it is about.

Touches nothing; used everywhere.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from kazoo_tasks.model.task import Task

ACCOUNT = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
OTHER_ACCOUNT = "f" * 32
#: Gregorian seconds of some day in 2016.
NOW = 63_631_324_811


def a_task(seq: int = 1, **changes: Any) -> Task:
    """A pending task of `ACCOUNT`."""
    given: dict[str, Any] = {
        "id": f"{seq:030x}",
        "account_id": ACCOUNT,
        "module": "timer",
        "function": "sleep",
        "arguments": b"[1]",
        "submitted_at": NOW,
    }
    return Task(seq=seq, **{**given, **changes})


def a_running_task(seq: int = 1, **changes: Any) -> Task:
    """A task that a child has."""
    return a_task(seq, **{"started_at": NOW, "attempt": 1, "epoch": 1, **changes})


def a_message(event: str, **fields: Any) -> dict[str, Any]:
    """A request as a Kazoo crossbar sends it; `_` in a field's name stands for `-`."""
    return {
        "App-Name": "crossbar",
        "App-Version": "4.0.0",
        "Event-Category": "tasks",
        "Event-Name": event,
        "Msg-ID": "0123456789abcdef",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }


def a_module(name: str, **functions: object) -> ModuleType:
    """A task module with these members."""
    module = ModuleType(name)
    for key, value in functions.items():
        setattr(module, key, value)
    return module


class Unguarded:
    """Nobody asks a function to end."""

    def begin(self) -> None:
        """It runs."""

    def end(self) -> None:
        """It ran."""
