"""A port that is listened on, whatever speaks HTTP behind it.

Touches a socket; used by the gateway and by the door for health probes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final, cast

import structlog

from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.model.errors import CannotStart

_BACKLOG: Final = 1_024
_log = structlog.get_logger(__name__)

Protocols = Callable[[], asyncio.BaseProtocol]


async def listen(settings: GatewaySettings, protocols: Protocols, name: str) -> asyncio.Server:
    """Give every connection from here on a protocol of its own; `name` is for the log.

    Raises:
        CannotStart: The address cannot be listened on.
    """
    host, port = settings.host, settings.port
    try:
        server = await asyncio.get_running_loop().create_server(protocols, host, port, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {_reason(error)}") from error
    _log.info(f"{name}.listening", host=host, port=port_of(server))
    return server


def port_of(server: asyncio.Server) -> int:
    """Where it listens: the real port, if any free one was asked for."""
    return cast("int", server.sockets[0].getsockname()[1])


def rejection() -> asyncio.BaseProtocol:
    """What a connection too many gets: it is hung up on."""
    return asyncio.StreamReaderProtocol(asyncio.StreamReader(), _hang_up)


def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def _reason(error: OSError | OverflowError) -> str:
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return str(getattr(error, "strerror", None) or error).lower()
