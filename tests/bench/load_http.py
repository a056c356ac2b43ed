"""A load process over HTTP: reads one `Hitting` from its input, writes one `Told` to its output.

Touches loopback sockets, with as little between them and the figures as can be; started by the REST measure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final, cast

from typing_extensions import override

from bench.loading import cpu_s, main
from bench.spec import Hitting, Told, summed_up

_LENGTH: Final = b"content-length:"


class Connection(asyncio.Protocol):
    """One connection, one request under way on it, until it is told that it is over."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float]) -> None:
        """Send these in turn and note how long each takes."""
        self._requests = requests
        self._latencies = latencies
        self._transport: asyncio.Transport
        self._buffer = b""
        self._began = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._ask()

    @override
    def data_received(self, data: bytes) -> None:
        """Send the next once the response is whole."""
        self._buffer += data
        head_ends = self._buffer.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        head = self._buffer[:head_ends].lower()
        at = head.index(_LENGTH) + len(_LENGTH)
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._buffer) < head_ends + 4 + length:
            return
        assert head.startswith(b"http/1.1 200"), self._buffer
        self._buffer = b""
        self._latencies.append(time.perf_counter() - self._began)
        self._ask()

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))


async def hit(hitting: Hitting) -> Told:
    """GET for as long as is wanted."""
    latencies: list[float] = []
    lines = "".join(f"{line}\r\n" for line in ("Host: 127.0.0.1", *hitting.headers))
    requests = cycle([f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode() for path in hitting.paths])
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(requests, latencies), "127.0.0.1", hitting.port))[1]
        for _ in range(hitting.connections)
    ]
    await asyncio.sleep(hitting.warm_s)
    latencies.clear()
    began, cpu = time.perf_counter(), cpu_s()
    await asyncio.sleep(hitting.seconds)
    took, cpu = time.perf_counter() - began, cpu_s() - cpu
    told = summed_up(latencies, len(latencies), took, cpu)
    for connection in connections:
        connection.close()
    return told


async def _hit(spec: dict[str, Any]) -> Told:
    return await hit(Hitting(**spec))


if __name__ == "__main__":
    main(_hit)
