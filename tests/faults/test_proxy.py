"""The chaos proxy itself: what it says that it does to a connection, it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from support.fault_proxy import ChaosProxy, Cut, a_proxy

PATIENCE_S = 5.0
#: How long nothing must come for it to be nothing.
SILENCE_S = 0.1


@dataclass
class Echo:
    """A server that sends back what it gets, and remembers the pieces in which it came."""

    pieces: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """See class."""
        with suppress(ConnectionError):
            while piece := await reader.read(100):
                self.pieces.append(piece)
                writer.write(piece)
                await writer.drain()
        writer.close()


@dataclass
class Line:
    """A connection through a proxy to an echo."""

    proxy: ChaosProxy
    echo: Echo
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def heard(self, size: int) -> bytes:
        """Wait for so many bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def silent(self) -> bool:
        """Whether nothing comes for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                return not await self.reader.read(1)
        return True


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A line that is open."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, a_proxy(f"amqp://guest:guest@127.0.0.1:{port}/") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":")[-1].strip("/")))
        yield Line(proxy, echo, reader, writer)
        writer.transport.abort()


async def test_fine_weather_changes_nothing(line: Line) -> None:
    """What is said is heard."""
    line.writer.write(b"hello")
    assert await line.heard(5) == b"hello"


async def test_a_hole_swallows_one_direction_and_gives_it_back(line: Line) -> None:
    """We are heard and hear nothing; when it closes, nothing is missing."""
    line.proxy.down.swallow()
    line.writer.write(b"hello")
    assert await line.silent()
    assert line.echo.pieces == [b"hello"]
    line.proxy.down.let_through()
    assert await line.heard(5) == b"hello"


async def test_a_hole_towards_the_broker_keeps_everything_from_it(line: Line) -> None:
    """We are not heard."""
    line.proxy.up.swallow()
    line.writer.write(b"hello")
    assert await line.silent()
    assert line.echo.pieces == []
    line.proxy.up.let_through()
    assert await line.heard(5) == b"hello"


async def test_small_pieces_arrive_one_by_one(line: Line) -> None:
    """With a pause between them, so that nobody joins them again."""
    line.proxy.up.largest, line.proxy.up.delay_s = 1, 0.01
    line.writer.write(b"hello")
    assert await line.heard(5) == b"hello"
    assert len(line.echo.pieces) == 5


async def test_a_cut_comes_after_so_many_bytes(line: Line) -> None:
    """They still arrive, and nothing after them does."""
    line.proxy.up.cut_after, line.proxy.up.cut = 3, Cut.FIN
    line.writer.write(b"hello")
    with suppress(ConnectionError):
        await line.reader.read()
    assert b"".join(line.echo.pieces) == b"hel"
    assert line.proxy.cuts == 1


async def test_a_reset_is_a_reset(line: Line) -> None:
    """Not an end of file."""
    line.writer.write(b"hello")
    await line.heard(5)
    line.proxy.cut(Cut.RST)
    with pytest.raises(ConnectionResetError):
        await line.heard(1)


async def test_a_half_closed_connection_still_answers(line: Line) -> None:
    """The far end is told that nothing more comes, and what it had to say arrives."""
    line.proxy.up.cut_after, line.proxy.up.cut = 5, Cut.HALF
    line.writer.write(b"hello")
    async with asyncio.timeout(PATIENCE_S):
        assert await line.reader.read() == b"hello"
