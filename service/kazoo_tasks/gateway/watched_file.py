"""A file whose content is kept in memory and read again when it changes.

Touches that file only; used by the sources of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from kazoo_tasks.model.errors import CannotStart

_Content = TypeVar("_Content")
_log = structlog.get_logger(__name__)


class WatchedFile(Generic[_Content]):
    """Always has a content: a version that cannot be read leaves the one before it in force."""

    def __init__(self, path: Path, parse: Callable[[bytes], _Content]) -> None:
        """Read the file; `parse` raises `CannotStart` with what is wrong in it.

        Raises:
            CannotStart: It cannot be read or understood.
        """
        self._path = path
        self._parse = parse
        self._stamp = self._stamp_now()
        self._content = self._read()

    def content(self) -> _Content:
        """What the file says now."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            # Noted before reading, so that a bad version is complained about once and not with every request.
            self._stamp = stamp
            self._read_again()
        return self._content

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> _Content:
        try:
            return self._parse(self._path.read_bytes())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CannotStart(f"cannot read {self._path}: {reason}") from error
        except CannotStart as error:
            raise CannotStart(f"cannot use {self._path}: {error}") from error

    def _read_again(self) -> None:
        try:
            self._content = self._read()
        except CannotStart as error:
            _log.error("gateway.file_refused", path=str(self._path), reason=str(error))
        else:
            _log.info("gateway.file_read", path=str(self._path))
