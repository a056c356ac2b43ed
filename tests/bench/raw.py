"""An AMQP client that costs almost nothing, so that it measures the other side and not itself.

Touches one socket; used by the load processes. Only the handshake goes through pamqp, messages are framed by hand.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.header import ContentHeader, ProtocolHeader
from typing_extensions import override

_HEAD: Final = struct.Struct(">BHI")
_SIZE: Final = struct.Struct(">Q")
_DELIVER: Final = b"\x00\x3c\x00\x3c"
_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_OVERHEAD: Final = 8
_CHANNEL: Final = 1
_FRAME_MAX: Final = 131_072
#: The exchanges that requests and replies go through, declared as the service declares them.
EXCHANGES: Final = {"tasks": "topic", "targeted": "direct"}


class RawClient(asyncio.Protocol):
    """One connection, one channel, one private queue whose messages are handed to `take`, acked beforehand."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        """Hand each message's body to `take`."""
        self._take = take
        self._transport: asyncio.Transport
        self._buffer = b""
        self._said: deque[Frame] = deque()
        self._news = asyncio.Event()
        self._missing = 0
        self._parts: list[bytes] = []
        self._lines: dict[tuple[str, str], bytes] = {}
        self.address = f"bench-{secrets.token_hex(8)}"
        properties = commands.Basic.Properties(
            content_type="application/json", delivery_mode=1, reply_to=self.address
        )
        whole = frame.marshal(ContentHeader(body_size=0, properties=properties), _CHANNEL)
        # The size of the body stands between the class id and the property flags.
        self._header = whole[:11], whole[19:]

    # --- asyncio.Protocol ---

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._transport.write(ProtocolHeader().marshal())

    @override
    def data_received(self, data: bytes) -> None:
        """Take whole frames, keep the rest."""
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while end - at >= _OVERHEAD:
            kind, _, size = _HEAD.unpack_from(buffer, at)
            after = at + size + _OVERHEAD
            if after > end:
                break
            self._frame(kind, buffer[at + 7 : after - 1])
            at = after
        self._buffer = buffer[at:]

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for an answer: there will be none."""
        self._news.set()

    # --- what the load does ---

    def publish(self, exchange: str, key: str, body: bytes) -> None:
        """Send one message, transient, with this client's queue as its `reply_to`."""
        line = self._lines.get((exchange, key))
        if line is None:
            word = commands.Basic.Publish(exchange=exchange, routing_key=key)
            line = self._lines[exchange, key] = frame.marshal(word, _CHANNEL)
        before, behind = self._header
        self._transport.write(b"".join((line, before, _SIZE.pack(len(body)), behind, *_chunks(body))))

    async def open(self, virtual_host: str) -> None:
        """Get through the handshake, and have the queue there, bound by its name to `targeted`."""
        await self._answer()
        login = commands.Connection.StartOk(client_properties={}, response="\0guest\0guest")
        await self._ask(login)
        self._say(commands.Connection.TuneOk(channel_max=10, frame_max=_FRAME_MAX, heartbeat=0), 0)
        await self._ask(commands.Connection.Open(virtual_host=virtual_host))
        await self._ask(commands.Channel.Open(), _CHANNEL)
        for name, kind in EXCHANGES.items():
            await self._ask(commands.Exchange.Declare(exchange=name, exchange_type=kind), _CHANNEL)
        await self._ask(
            commands.Queue.Declare(queue=self.address, exclusive=True, auto_delete=True), _CHANNEL
        )
        await self.bind("targeted", self.address)
        await self._ask(commands.Basic.Consume(queue=self.address, no_ack=True), _CHANNEL)

    async def bind(self, exchange: str, key: str) -> None:
        """Have messages of another key come here too."""
        await self._ask(commands.Queue.Bind(queue=self.address, exchange=exchange, routing_key=key), _CHANNEL)

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def _say(self, word: Frame, channel: int) -> None:
        self._transport.write(frame.marshal(word, channel))

    async def _ask(self, word: Frame, channel: int = 0) -> None:
        self._say(word, channel)
        await self._answer()

    async def _answer(self) -> None:
        async with asyncio.timeout(20):
            while not self._said:
                assert not self._transport.is_closing(), "the broker hung up"
                self._news.clear()
                await self._news.wait()
        self._said.popleft()

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == _BODY:
            self._parts.append(payload)
            self._missing -= len(payload)
            if self._missing <= 0:
                body, self._parts = b"".join(self._parts), []
                self._take(body)
        elif kind == _HEADER:
            (self._missing,) = _SIZE.unpack_from(payload, 4)
        elif kind == _METHOD and payload[:4] != _DELIVER:
            said = frame.unmarshal(_framed(kind, payload))[2]
            assert isinstance(said, Frame)
            if isinstance(said, commands.Channel.Close | commands.Connection.Close):
                raise RuntimeError(said.reply_text)
            self._said.append(said)
            self._news.set()


async def connect(url: str, take: Callable[[bytes], None]) -> RawClient:
    """A client that is ready, at the virtual host that the URL names."""
    parts = urlsplit(url)
    client = RawClient(take)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: client, parts.hostname or "", parts.port or 5672)
    await client.open(unquote(parts.path[1:]) or "/")
    return client


def _chunks(body: bytes) -> list[bytes]:
    most = _FRAME_MAX - _OVERHEAD
    return [_framed(_BODY, body[at : at + most]) for at in range(0, len(body), most)]


def _framed(kind: int, payload: bytes) -> bytes:
    return b"".join((_HEAD.pack(kind, _CHANNEL, len(payload)), payload, b"\xce"))
