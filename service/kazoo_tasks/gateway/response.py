"""Answers as HTTP: headers, ETag, gzip, indentation.

Uses aiohttp; called by the pipeline with what was decided.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from kazoo_tasks.gateway.answer import Page, Success, Tail, Text
from kazoo_tasks.gateway.envelope import NO_TOKEN, error_envelope, success_envelope
from kazoo_tasks.gateway.fault import Fault, FaultError, wrong_range
from kazoo_tasks.gateway.terms import Terms
from kazoo_tasks.wire.body import readable
from kazoo_tasks.wire.codec import JsonText, encode

#: Below it gzip costs more than it saves.
_GZIP_FROM_BYTES: Final = 1_024
#: Above it compressing holds up everybody else, so it is done in a thread.
_GZIP_ASIDE_BYTES: Final = 64 * 1_024
_GZIP_LEVEL: Final = 5
#: As compressing; and the most that indenting may make of an answer, which nests 240 levels at the worst.
_INDENT_ASIDE_BYTES: Final = 8 * 1_024
_MAX_INDENTED: Final = 8_000_000
_INDENTING: Final = json.JSONEncoder(indent=4, ensure_ascii=False)
_HEADERS: Final = CIMultiDict(
    {
        "Content-Type": "application/json",
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "content-range, content-type, etag, retry-after, x-request-id",
        "Server": "kazoo-tasks",
    }
)
_TEXT_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Vary": "Accept, Accept-Encoding"}
_MAY_SEND: Final = (
    "authorization, cache-control, content-type, idempotency-key, if-none-match, range, x-auth-token, x-request-id, "
    "x-requested-with"
)
_PREFLIGHT_S: Final = "86400"


async def success(terms: Terms, answer: Success, *, has_etag: bool) -> web.Response:
    """A success; 304 if the client says that it has the same already."""
    headers = _headers(terms)
    data, shown = _encoded(answer.data)
    if has_etag:
        headers["ETag"] = etag = _etag(data, answer.page)
        if terms.unless and _matches(terms.unless, etag):
            return web.Response(status=304, headers=headers)
    envelope = success_envelope(
        terms.token or NO_TOKEN, shown if terms.is_pretty else JsonText(data), terms.request_id, answer.page
    )
    return await _written(terms, answer.status, headers, envelope)


async def text(request: web.BaseRequest, terms: Terms, answer: Text) -> web.Response:
    """A text, or the part of it that the client wants.

    Raises:
        FaultError: There is no such part.
    """
    headers = _headers(terms)
    headers.update({**_TEXT_HEADERS, "Content-Type": answer.content_type, "Accept-Ranges": "bytes"})
    body = answer.body
    if "Range" in request.headers:
        first, end = _range(request, len(body))
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
        return web.Response(body=body[first:end], status=206, headers=headers)
    if terms.takes_gzip and len(body) >= _GZIP_FROM_BYTES:
        headers["Content-Encoding"] = "gzip"
        body = await _compressed(body)
    return web.Response(body=body, headers=headers)


async def begin(request: web.BaseRequest, terms: Terms, answer: Tail) -> web.StreamResponse:
    """The head of a text that goes on for a while, sent."""
    headers = _headers(terms)
    headers.update({**_TEXT_HEADERS, "Content-Type": answer.content_type})
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    return response


def _range(request: web.BaseRequest, size: int) -> tuple[int, int]:
    """The first byte that is wanted, and the one after the last."""
    try:
        first, end, _ = request.http_range.indices(size)
    except ValueError:
        raise FaultError(wrong_range(size)) from None
    if first >= end:
        raise FaultError(wrong_range(size))
    return first, end


def _encoded(data: object) -> tuple[bytes, object]:
    """JSON text of data, and its value; of an older release's data that cannot be written all that can."""
    try:
        return encode(data), data
    except TypeError:
        shown = [readable(each) for each in data] if isinstance(data, list) else readable(data)
        return encode(shown), shown


async def error(terms: Terms, fault: Fault) -> web.Response:
    """An error."""
    headers = _headers(terms)
    headers.update(fault.headers)
    envelope = error_envelope(terms.token or NO_TOKEN, fault, terms.request_id)
    response = await _written(terms, fault.status, headers, envelope)
    if fault.headers.get("Connection") == "close":
        response.force_close()
    return response


def preflight(terms: Terms, allowed: str) -> web.Response:
    """What a browser wants to know before it sends anything from another origin."""
    headers = _headers(terms)
    headers["Allow"] = allowed
    headers["Access-Control-Allow-Methods"] = allowed
    headers["Access-Control-Allow-Headers"] = _MAY_SEND
    headers["Access-Control-Max-Age"] = _PREFLIGHT_S
    return web.Response(headers=headers)


def _headers(terms: Terms) -> CIMultiDict[str]:
    headers = _HEADERS.copy()
    headers["X-Request-ID"] = terms.request_id
    return headers


async def _written(
    terms: Terms, status: int, headers: CIMultiDict[str], envelope: dict[str, object]
) -> web.Response:
    body = await _indented(envelope) if terms.is_pretty else encode(envelope)
    if terms.takes_gzip and len(body) >= _GZIP_FROM_BYTES:
        headers["Content-Encoding"] = "gzip"
        body = await _compressed(body)
    return web.Response(body=body, status=status, headers=headers)


async def _indented(envelope: dict[str, object]) -> bytes:
    """For people; what would become too long for them to read is left as it is."""
    plain = encode(envelope)
    if len(plain) <= _INDENT_ASIDE_BYTES:
        return _spread(envelope) or plain
    return await asyncio.to_thread(_spread, envelope) or plain


def _spread(envelope: dict[str, object]) -> bytes | None:
    parts, size = [], 0
    for part in _INDENTING.iterencode(envelope):
        parts.append(part)
        size += len(part)
        if size > _MAX_INDENTED:
            return None
    return "".join([*parts, "\n"]).encode()


async def _compressed(body: bytes) -> bytes:
    if len(body) < _GZIP_ASIDE_BYTES:
        return gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL, mtime=0)


def _etag(data: bytes, page: Page | None) -> str:
    """Weak, since the envelope around the same data has another request id each time."""
    digest = hashlib.blake2b(data, digest_size=16)
    if page is not None:
        digest.update(f"\0{page.start_key}\0{page.next_start_key}".encode())
    return f'W/"{digest.hexdigest()}"'


def _matches(listed: str, etag: str) -> bool:
    strong = etag.removeprefix("W/")
    known = (each.strip().removeprefix("W/") for each in listed.split(","))
    return any(each in (strong, "*") for each in known)
