"""A request's way from its bytes to its answer; the order of the steps decides which error wins.

Touches the bus through the caller it is given; called by aiohttp's server for each request.
"""

from __future__ import annotations

from time import perf_counter

import structlog
from aiohttp import web

from kazoo_tasks.gateway.answer import Success, Tail, Text
from kazoo_tasks.gateway.asked import Asked
from kazoo_tasks.gateway.body import read_body
from kazoo_tasks.gateway.budget import Budget
from kazoo_tasks.gateway.fault import (
    FORBIDDEN,
    INVALID_CREDENTIALS,
    UNSPECIFIED,
    FaultError,
    fault_of,
    invalid_account,
    wrong_method,
)
from kazoo_tasks.gateway.health import METHODS, PATHS, answer_probe
from kazoo_tasks.gateway.identity import Authenticator, Identity
from kazoo_tasks.gateway.query import parse_query
from kazoo_tasks.gateway.response import begin, error, preflight, success, text
from kazoo_tasks.gateway.route import Place, locate
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.gateway.terms import Terms, read_terms
from kazoo_tasks.model.identity import is_account_id
from kazoo_tasks.ports import Caller, Health

_MAX_LOGGED_PATH = 256
_log = structlog.get_logger(__name__)


class Pipeline:
    """Answers every request, whatever it is, and never with an exception."""

    def __init__(
        self, caller: Caller, authenticator: Authenticator, health: Health, settings: GatewaySettings
    ) -> None:
        """Take whom to ask, who knows tokens, what to tell probes, and how long and large bodies may be."""
        self._health = health
        self._caller = caller
        self._authenticator = authenticator
        self._body_timeout_s = settings.body_timeout_s
        self._budget = Budget(settings.max_body_bytes)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request and log that, unless it is only a probe's."""
        if request.path in PATHS and request.method in METHODS:
            return await self._probed(request.path)
        began = perf_counter()
        raw_path, _, raw_query = request.path_qs.partition("?")
        visit = _Visit(request, raw_path, raw_query)
        response: web.StreamResponse
        try:
            response = await self._answered(visit)
        except Exception as problem:  # noqa: BLE001 - the boundary: aiohttp's own error pages are not in our envelope
            response = await _refused(visit, problem)
        _log.info(
            "gateway.request",
            method=request.method,
            path=_loggable(raw_path),
            status=response.status,
            duration_ms=round((perf_counter() - began) * 1_000, 2),
            request_id=visit.terms.request_id,
            account=visit.account_id,
        )
        return response

    async def _answered(self, visit: _Visit) -> web.StreamResponse:
        request = visit.request
        if request.path in PATHS:
            raise FaultError(wrong_method(", ".join(METHODS)))  # 405
        place = locate(visit.raw_path)  # 404
        if request.method == "OPTIONS":
            return preflight(visit.terms, place.resource.allowed)
        verb = place.resource.verb(request.method)  # 405
        visit.account_id = _account_id(place)  # 404
        identity = self._identified(visit.terms)  # 401
        _require_cover(identity, visit.account_id)  # 403
        # Only now: nobody unknown is to cost more than reading a head.
        body = await read_body(request, self._body_timeout_s, self._budget)  # 400, 408, 413, 503
        asked = Asked(
            identity,
            visit.account_id or "",
            place.task_id,
            visit.query,
            body,
            request.headers.get("Idempotency-Key"),
            request.headers.get("Accept", ""),
            visit.terms.request_id,
            request.remote,
        )
        answer = await verb(asked, self._caller)  # validation, then state
        match answer:
            case Success():
                return await success(visit.terms, answer, has_etag=request.method in ("GET", "HEAD"))
            case Text():
                return await text(request, visit.terms, answer)  # 416
            case Tail():
                return await _tailed(visit, answer)

    async def _probed(self, path: str) -> web.Response:
        told = await answer_probe(self._health, path)
        return web.Response(body=told.body, status=told.status, content_type="application/json")

    def _identified(self, terms: Terms) -> Identity:
        identity = self._authenticator.identify(terms.token) if terms.token else None
        if identity is None:
            raise FaultError(INVALID_CREDENTIALS)
        return identity


class _Visit:
    """One request, and what is known about it so far."""

    __slots__ = ("account_id", "query", "raw_path", "request", "terms")

    def __init__(self, request: web.BaseRequest, raw_path: str, raw_query: str) -> None:
        self.request = request
        self.raw_path = raw_path
        self.query = parse_query(raw_query)
        self.terms = read_terms(request.headers, self.query)
        self.account_id: str | None = None


async def _tailed(visit: _Visit, answer: Tail) -> web.StreamResponse:
    """Send a text as it comes, until it ends or the client goes."""
    request = visit.request
    response = await begin(request, visit.terms, answer)
    if request.method == "HEAD":
        return response
    try:
        async for part in answer.parts:
            if request.transport is None or request.transport.is_closing():
                break
            if part:
                await response.write(part)
    except ConnectionResetError:
        pass  # the client has gone
    except Exception as problem:  # noqa: BLE001 - the boundary: the head is sent, and no error can follow it
        if fault_of(problem) is None:
            _log.error("gateway.bug", request_id=visit.terms.request_id, exc_info=problem)
        else:
            _log.info("gateway.tail_cut", request_id=visit.terms.request_id, reason=str(problem))
        # So that the client sees that it is not whole.
        if request.transport is not None:
            request.transport.abort()
    return response


async def _refused(visit: _Visit, problem: Exception) -> web.Response:
    fault = fault_of(problem)
    if fault is None:
        _log.error("gateway.bug", request_id=visit.terms.request_id, exc_info=problem)
        fault = UNSPECIFIED
    return await error(visit.terms, fault)


def _account_id(place: Place) -> str | None:
    if place.account_id is not None and not is_account_id(place.account_id):
        raise FaultError(invalid_account(place.account_id))
    return place.account_id


def _require_cover(identity: Identity, account_id: str | None) -> None:
    if account_id is not None and not identity.covers(account_id):
        raise FaultError(FORBIDDEN)


def _loggable(raw_path: str) -> str:
    """Without what a terminal or a log's reader could take for something else, and not endless."""
    path = raw_path if raw_path.isprintable() else raw_path.encode("unicode_escape").decode()
    return path[:_MAX_LOGGED_PATH]
