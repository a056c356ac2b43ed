"""The body of a request: all of it, in time, within the limit, as JSON.

Touches the request's stream; called by the pipeline before anything else is decided.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from kazoo_tasks.gateway.fault import BODY_TIMEOUT, TOO_LARGE, FaultError, not_json
from kazoo_tasks.model.errors import Corrupt, TooLong
from kazoo_tasks.wire.codec import MAX_BODY_BYTES, decode

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_body(request: web.BaseRequest, timeout_s: float) -> Any:
    """The JSON value of the body whatever its content type says; `None` if there is none.

    Raises:
        FaultError: It is too large, too slow, cut off or no JSON.
    """
    if not request.body_exists:
        return None
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise FaultError(TOO_LARGE)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
    body = await _collected(request, timeout_s)
    if not body.strip():
        return None
    try:
        return decode(body, request.headers.get("Content-Encoding", "").lower())
    except TooLong as error:
        raise FaultError(TOO_LARGE) from error
    except Corrupt as error:
        raise FaultError(not_json(str(error))) from error


async def _collected(request: web.BaseRequest, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await _limited(request)
    except TimeoutError as error:
        raise FaultError(BODY_TIMEOUT) from error
    except (ConnectionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise FaultError(not_json("expected the whole body, got a part of it")) from error


async def _limited(request: web.BaseRequest) -> bytes:
    # A chunked body does not say how long it is going to be.
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise FaultError(TOO_LARGE)
    return bytes(body)
