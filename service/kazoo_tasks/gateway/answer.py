"""What a verb gives: a value for the envelope, or a text that has none.

Pure; made by the verbs, written by `response`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list an answer is."""

    size: int
    start_key: str | None
    next_start_key: str | None


@dataclass(frozen=True, slots=True)
class Success:
    """An answer that is none of the errors.

    Attributes:
        data: A JSON value.
        page: Absent if the data are all there is.
    """

    data: Any
    status: int = 200
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is the whole of a text, of which a part may be asked for."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Tail:
    """A text that goes on for a while; its beginning is known to be there."""

    parts: AsyncIterator[bytes]
    content_type: str


Answer = Success | Text | Tail
