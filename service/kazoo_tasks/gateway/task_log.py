"""`GET …/{ID}/log`: the whole log of a task, or a tail of it that goes on for as long as the task does.

Touches only the caller it is given; chosen by `route`, called by the pipeline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from kazoo_tasks.gateway.answer import Tail, Text
from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.gateway.query import log_fields
from kazoo_tasks.gateway.verb import ask_about
from kazoo_tasks.ports import Caller
from kazoo_tasks.wire.log_reader import log_pages
from kazoo_tasks.wire.task_log import Lines, plain

PLAIN: Final = "text/plain; charset=utf-8"
JSON_LINES: Final = "application/x-ndjson"

_Pages = AsyncIterator[Mapping[str, Any]]
_Show = Callable[[Iterable[Mapping[str, Any]]], str]


async def read_log(asked: Asked, caller: Caller) -> Text | Tail:
    """What the task printed and logged."""
    follow = asked.query.get("follow") == "true"
    ask = partial(ask_about, "log_req", asked, caller)
    attempt = log_fields(asked.query).get("Attempt")
    pages = log_pages(ask, attempt, caller.timeout_s if follow else None)
    # A refusal is told before anything is sent.
    first = await anext(pages)
    lines = Lines()
    is_json = "json" in asked.accept
    parts = _shown(first, pages, lines.add if is_json else plain, lines.finish)
    content_type = JSON_LINES if is_json else PLAIN
    if follow:
        return Tail(parts, content_type)
    return Text(b"".join([part async for part in parts]), content_type)


async def _shown(
    first: Mapping[str, Any], others: _Pages, show: _Show, finish: Callable[[], str]
) -> AsyncIterator[bytes]:
    yield show(first["entries"]).encode()
    async for page in others:
        yield show(page["entries"]).encode()
    yield finish().encode()
