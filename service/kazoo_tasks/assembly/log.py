"""Sets up structlog: one line an event, JSON for machines or columns for people, to stderr.

Touches logging's global state, once, at the start of a process; imported before all that imports structlog.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any, BinaryIO, Final, cast

from typing_extensions import Buffer, override

from kazoo_tasks.settings import Settings
from kazoo_tasks.wire.codec import log_line


@contextmanager
def _kept_out(module: str) -> Iterator[None]:
    """Have imports find no such module, unless it is there already."""
    is_absent = module not in sys.modules
    if is_absent:
        sys.modules[module] = cast("ModuleType", None)
    try:
        yield
    finally:
        if is_absent:
            del sys.modules[module]


# structlog takes rich where it finds it, 4 MB, to draw boxes round tracebacks; without it they are Python's own.
with _kept_out("rich"):
    import structlog
    from structlog.typing import Processor

#: Each frame and each retry is an event to these; ours say what matters.
_NOISY: Final = ("aio_pika", "aiormq", "aiohttp.access")


def set_up_logging(settings: Settings) -> None:
    """Write our events, and what the libraries say, in one form."""
    _set_up(logging.getLevelNamesMapping()[settings.log_level.upper()], is_json=settings.log_format == "json")


def quieten_logging() -> None:
    """For commands, whose output is what they print: only what goes wrong is told beside it."""
    _set_up(logging.WARNING, is_json=False)
    # A command may be one of many in a process (a test's), and its stderr not the next one's.
    structlog.configure(cache_logger_on_first_use=False)


def _set_up(level: int, *, is_json: bool) -> None:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Ours do not pass through the standard library, which would cost as much as the rest of a short request.
    structlog.configure(
        processors=[*shared, *_rendering(is_json=is_json)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", Patient(sys.stderr.buffer))),
        cache_logger_on_first_use=True,
    )
    _hear_libraries(level, shared)


def _rendering(*, is_json: bool) -> list[Processor]:
    if is_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(log_line)]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()), _encoded]


def _encoded(_: object, __: str, line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")


class Patient(io.BufferedIOBase):
    """A stream that loses what it cannot write: a log that nobody reads any more must not end the service."""

    def __init__(self, stream: BinaryIO) -> None:
        """Write to this stream."""
        self._stream = stream

    @override
    def write(self, line: Buffer) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(line)
        return len(memoryview(line))

    @override
    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _hear_libraries(level: int, shared: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    plain: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_text)]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *plain])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _text(event: dict[str, object], **_: object) -> str:
    return log_line(event).decode()
