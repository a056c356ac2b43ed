"""A TCP proxy in front of the broker that does to a connection what networks do: its weather is changed at run time.

Touches loopback sockets; used by the fault lab. The same seed gives the same pauses and pieces.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

_CHUNK: Final = 65_536
#: SO_LINGER with no time: closing such a socket sends RST instead of FIN.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Cut(Enum):
    """How a connection ends."""

    FIN = "both sides are closed politely"
    RST = "both sides are reset"
    HALF = "the far end is told that nothing more comes, and may go on talking"


@dataclass(slots=True)
class Weather:
    """What one direction of every connection goes through.

    Attributes:
        delay_s: From a piece's arrival to its departure, plus up to `jitter_s`.
        largest: Bytes of a piece at most; 1 for one-byte writes.
        cut_after: So many more bytes get through, then the connection that brought the last one ends as `cut` says.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    largest: int = _CHUNK
    cut_after: int | None = None
    cut: Cut = Cut.RST
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Fine to begin with."""
        self._open.set()

    def swallow(self) -> None:
        """Become a black hole: nothing gets through, and nobody is told."""
        self._open.clear()

    def let_through(self) -> None:
        """Be a hole no more; what was held goes on, as a network's retransmission would have it."""
        self._open.set()

    async def passable(self) -> None:
        """Wait for as long as it is a hole."""
        await self._open.wait()

    def allowance(self, size: int) -> int | None:
        """How many of so many bytes still get through before the cut; None if there is none in them."""
        if self.cut_after is None:
            return None
        allowed = min(self.cut_after, size)
        self.cut_after -= allowed
        if self.cut_after:
            return None
        self.cut_after = None
        return allowed


class ChaosProxy:
    """Every connection to it is one to the broker, in two directions with a weather each.

    Attributes:
        up: From us to the broker.
        down: From the broker to us.
        cuts: How many connections it ended.
    """

    def __init__(self, url: str, seed: int) -> None:
        """Stand in front of the broker of this URL."""
        self._parts = urlsplit(url)
        self._chance = random.Random(seed)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.up = Weather()
        self.down = Weather()
        self.cuts = 0

    @property
    def url(self) -> str:
        """Where to connect instead of the broker."""
        return self.url_at(self.port)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def url_at(self, port: int) -> str:
        """Where to connect if it listens there."""
        credentials = self._parts.netloc.rpartition("@")[0]
        return self._parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()

    async def open(self, port: int = 0) -> None:
        """Listen, on a free port if none is said."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def close(self) -> None:
        """End everything."""
        assert self._server
        self._server.close()
        self.cut(Cut.RST)
        for pump in list(self._pumps):
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)

    def cut(self, how: Cut) -> None:
        """End every connection that is there now."""
        for pair in list(self._pairs):
            self._end(pair, how)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            writer.transport.abort()
            return
        near, far = (writer, far_writer), (far_writer, writer)
        self._pairs.add(near)
        pumps = (self._pump(reader, near, self.up), self._pump(far_reader, far, self.down))
        for pump in map(asyncio.ensure_future, pumps):
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        weather: Weather,
    ) -> None:
        source, target = ends
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await weather.passable()
                allowed = weather.allowance(len(data))
                await self._forward(data[:allowed], target, weather)
                if allowed is not None:
                    self._end(ends, weather.cut)
                    return
            # Whoever hung up behind a hole is not heard either.
            await weather.passable()
        self._forget(ends)
        source.transport.abort()
        target.close()

    async def _forward(self, data: bytes, target: asyncio.StreamWriter, weather: Weather) -> None:
        while data:
            piece, data = data[: weather.largest], data[weather.largest :]
            if weather.delay_s or weather.jitter_s:
                await asyncio.sleep(weather.delay_s + self._chance.uniform(0, weather.jitter_s))
            target.write(piece)
            await target.drain()

    def _end(self, ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter], how: Cut) -> None:
        self.cuts += 1
        if how is Cut.HALF:
            with suppress(OSError, RuntimeError):
                ends[1].write_eof()
            return
        self._forget(ends)
        for writer in ends:
            if how is Cut.RST:
                _reset(writer)
            else:
                writer.close()

    def _forget(self, ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._pairs -= {ends, ends[::-1]}


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, and drop what waits to be sent."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


@asynccontextmanager
async def a_proxy(url: str, seed: int = 1) -> AsyncIterator[ChaosProxy]:
    """A proxy that listens, in front of the broker of this URL."""
    proxy = ChaosProxy(url, seed)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
