"""The body of a request: all of it, in time, within the limit, as JSON.

Touches the request's stream; called by the pipeline once it is known whose it is.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from kazoo_tasks.gateway.budget import Budget, Share
from kazoo_tasks.gateway.fault import BODY_TIMEOUT, TOO_LARGE, FaultError, not_json
from kazoo_tasks.model.errors import Corrupt, TooLong
from kazoo_tasks.wire.codec import MAX_BODY_BYTES, decode

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_body(request: web.BaseRequest, timeout_s: float, budget: Budget) -> Any:
    """The JSON value of the body whatever its content type says; `None` if there is none.

    Raises:
        FaultError: It is too large, too slow, cut off or no JSON, or there is no room for it now.
    """
    if not request.body_exists:
        return None
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise FaultError(TOO_LARGE)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
    with budget.share() as share:
        return _value(request, await _collected(request, timeout_s, share))


def _value(request: web.BaseRequest, body: bytearray) -> Any:
    if not body or body.isspace():
        return None
    try:
        return decode(bytes(body), request.headers.get("Content-Encoding", "").lower())
    except TooLong as error:
        raise FaultError(TOO_LARGE) from error
    except Corrupt as error:
        raise FaultError(not_json(str(error))) from error


async def _collected(request: web.BaseRequest, timeout_s: float, share: Share) -> bytearray:
    try:
        async with asyncio.timeout(timeout_s):
            return await _limited(request, share)
    except TimeoutError as error:
        raise FaultError(BODY_TIMEOUT) from error
    except (ConnectionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise FaultError(not_json("expected the whole body, got a part of it")) from error


async def _limited(request: web.BaseRequest, share: Share) -> bytearray:
    # A chunked body does not say how long it is going to be.
    body = bytearray()
    async for chunk in request.content.iter_any():
        share.take(len(chunk))
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise FaultError(TOO_LARGE)
    return body
