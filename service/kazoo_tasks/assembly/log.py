"""Sets up structlog: one line an event, JSON for machines or columns for people, to stderr.

Touches logging's global state, once, at the start of a process.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from kazoo_tasks.settings import Settings


def set_up_logging(settings: Settings) -> None:
    """Write our events and the libraries' own log records in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(settings))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Each frame and each retry of the library is a line at debug level; ours say what matters.
    for noisy in ("aio_pika", "aiormq", "asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy.startswith("aio") else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _rendering(settings: Settings) -> list[Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if settings.log_format == "console":
        return [remove, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [remove, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
