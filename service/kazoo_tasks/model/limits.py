"""Which of several limits holds for a run: its function's, its account's or the whole service's.

Pure; what each means stands where authors read it, in kazoo_tasks.authoring.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from kazoo_tasks.authoring import Limits

__all__ = ["NO_LIMITS", "Limits", "tightest"]

#: Shared by all runs that have none.
NO_LIMITS: Final = Limits()


def tightest(one: Limits, other: Limits) -> Limits:
    """Of each limit the one that is met first.

    >>> tightest(Limits(timeout_s=5), Limits(timeout_s=9, processes=1)) == Limits(timeout_s=5, processes=1)
    True
    """
    lower: dict[str, Any] = {
        field.name: _lower(getattr(one, field.name), getattr(other, field.name)) for field in fields(Limits)
    }
    return Limits(**lower)


def _lower(one: float | None, other: float | None) -> float | None:
    return one if other is None or (one is not None and one < other) else other
