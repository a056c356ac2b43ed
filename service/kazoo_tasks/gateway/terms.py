"""How a client wants to be answered, from its headers and query.

Pure; read by the pipeline once for each request, used by `response`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_MAX_REQUEST_ID: Final = 64
_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Terms:
    """What the answer depends on, beside what is asked.

    Attributes:
        request_id: The client's, if it is sane, else a new one.
        token: As sent; empty if there is none.
        unless: The ETags of which the client has the content already, as listed in `If-None-Match`.
    """

    request_id: str
    token: str
    is_pretty: bool
    takes_gzip: bool
    unless: str


def read_terms(headers: Mapping[str, str], query: Mapping[str, str]) -> Terms:
    """The terms of one request."""
    return Terms(
        request_id=_request_id(headers.get("X-Request-ID", "")),
        token=_token(headers),
        is_pretty=query.get("pretty_print") == "true",
        takes_gzip=_takes_gzip(headers.get("Accept-Encoding", "")),
        unless=headers.get("If-None-Match", ""),
    )


def _request_id(sent: str) -> str:
    if 0 < len(sent) <= _MAX_REQUEST_ID and sent.isascii() and sent.isprintable():
        return sent
    return os.urandom(16).hex()


def _token(headers: Mapping[str, str]) -> str:
    token = headers.get("X-Auth-Token", "")
    if not token:
        authorization = headers.get("Authorization", "")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            token = authorization[len(_BEARER) :].strip()
    # Bytes that are no UTF-8 arrive as surrogates, which neither JSON nor a digest takes.
    return token if token.isascii() else token.encode("utf-8", "replace").decode()


def _takes_gzip(accepted: str) -> bool:
    """Whether `gzip` is named there and not with a weight of nothing."""
    if "gzip" not in accepted:
        return False
    for choice in accepted.split(","):
        coding, _, weight = choice.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
