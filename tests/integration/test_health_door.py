"""The door for health probes over real sockets: what it answers, to what bytes, and whom it hangs up on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kazoo_tasks.assembly.health import Checkup
from kazoo_tasks.gateway.health_door import HealthDoor
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.model.errors import CannotStart

SETTINGS = GatewaySettings(port=0)


def health(reason: str | None = None) -> Checkup:
    """A bus that is unwell for a reason, or well."""

    async def check() -> str | None:
        return reason

    return Checkup({"bus": check})


async def broken() -> str | None:
    """A check that is a bug."""
    raise ZeroDivisionError


@asynccontextmanager
async def open_door(checkup: Checkup | None = None, **limits: Any) -> AsyncIterator[HealthDoor]:
    """A door that listens on any free port."""
    door = HealthDoor(replace(SETTINGS, **limits), checkup or health())
    await door.start()
    try:
        yield door
    finally:
        await door.close()


async def raw(door: HealthDoor, request: bytes) -> bytes:
    """All that comes until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


async def ask(door: HealthDoor, method: str, path: str) -> tuple[int, str, bytes]:
    """What a usual client understands: status, content type and body."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{door.port}{path}", allow_redirects=False) as response,
    ):
        return response.status, response.headers.get("Content-Type", ""), await response.read()


class TestAnswer:
    """As the gateway answers probes."""

    async def test_well(self) -> None:
        async with open_door() as door:
            status, kind, body = await ask(door, "GET", "/health/ready")
        assert (status, kind, json.loads(body)) == (200, "application/json", {"status": "ok", "unwell": {}})

    async def test_unwell(self) -> None:
        async with open_door(health("no connection")) as door:
            status, kind, body = await ask(door, "GET", "/health/ready")
        assert (status, kind) == (503, "application/json")
        assert json.loads(body) == {"status": "unwell", "unwell": {"bus": "no connection"}}

    async def test_alive_even_if_unwell(self) -> None:
        async with open_door(health("no connection")) as door:
            status, _, body = await ask(door, "GET", "/health/live")
        assert (status, json.loads(body)) == (200, {"status": "ok", "unwell": {}})

    @pytest.mark.parametrize("path", ["/", "/health", "/health/ready/", "/v2/accounts"])
    async def test_nothing_else_is_there(self, path: str) -> None:
        async with open_door() as door:
            assert await ask(door, "GET", path) == (404, "", b"")

    async def test_a_query_is_no_part_of_the_path(self) -> None:
        async with open_door() as door:
            assert (await ask(door, "GET", "/health/ready?verbose=1"))[0] == 200

    async def test_head_tells_the_length_and_no_body(self) -> None:
        async with open_door() as door:
            said = await raw(door, b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 27" in head.split(b"\r\n")
        assert body == b""

    async def test_an_old_client(self) -> None:
        async with open_door() as door:
            said = await raw(door, b"GET /health/live HTTP/1.0\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert said.endswith(b'\r\n\r\n{"status":"ok","unwell":{}}')

    async def test_a_bug_in_a_check_is_told_and_the_next_probe_is_answered(self) -> None:
        async with open_door(Checkup({"bus": broken})) as door:
            with capture_logs() as lines:
                assert await raw(door, b"GET /health/ready HTTP/1.1\r\n\r\n") == b""
            assert (await ask(door, "GET", "/health/live"))[0] == 200
        assert [line["event"] for line in lines] == ["health.bug"]


class TestAnyBytes:
    """None of them is answered as if it were a probe's, and none breaks the door."""

    runner: ClassVar[asyncio.Runner]
    door: ClassVar[HealthDoor]

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /health/live",
            b"GET  /health/live HTTP/1.1",
            b"GET /health/live HTTP/2.0",
            b"GET //[ HTTP/1.1",
            b"GET /\xff HTTP/1.1",
            b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 20_000,
        ],
    )
    async def test_a_bad_head(self, head: bytes) -> None:
        async with open_door() as door:
            assert (await raw(door, head + b"\r\n\r\n")).startswith(b"HTTP/1.1 400 Bad Request\r\n")

    @settings(max_examples=200, deadline=None)
    @given(head=st.binary(max_size=60))
    def test_any_head(self, head: bytes) -> None:
        said = self.runner.run(raw(self.door, head + b"\r\n\r\n"))
        assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _a_door_for_all_examples(cls) -> Any:
        with asyncio.Runner() as runner:
            cls.runner = runner
            opening = open_door()
            cls.door = runner.run(opening.__aenter__())
            yield
            runner.run(opening.__aexit__(None, None, None))


class TestMethods:
    """Probes read."""

    async def test_others_are_refused(self) -> None:
        async with open_door() as door:
            said = await raw(door, b"DELETE /health/live HTTP/1.1\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET, HEAD\r\n" in said


class TestConnections:
    """Nobody keeps one for long, and nobody keeps the door open."""

    async def test_one_that_never_asks_is_hung_up_on(self) -> None:
        async with open_door(keepalive_s=0.02) as door:
            assert await raw(door, b"GET /health/live HT") == b""

    async def test_one_too_many_is_hung_up_on(self) -> None:
        async with open_door(max_connections=1) as door:
            first, writing = await asyncio.open_connection("127.0.0.1", door.port)
            assert await hung_up(door)
            writing.write(b"GET /health/live HTTP/1.1\r\n\r\n")
            assert (await first.readline()).split()[1] == b"200"
            writing.close()

    async def test_closing_waits_for_none(self) -> None:
        async with open_door() as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            # Answered: the one before it has been let in, too.
            await ask(door, "GET", "/health/live")
            async with asyncio.timeout(1):
                await door.close()
            assert await reader.read() == b""
            writer.close()
            await door.close()

    async def test_nobody_is_let_in_afterwards(self) -> None:
        async with open_door() as door:
            port = door.port
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await asyncio.open_connection("127.0.0.1", port)

    async def test_port_taken(self) -> None:
        async with open_door() as door:
            another = HealthDoor(replace(SETTINGS, port=door.port), health())
            with pytest.raises(CannotStart, match=rf"^cannot listen on 127\.0\.0\.1:{door.port}: address"):
                await another.start()
            await another.close()

    async def test_port_before_the_start(self) -> None:
        assert HealthDoor(GatewaySettings(port=8123), health()).port == 8123


async def hung_up(door: HealthDoor) -> bool:
    """Whether a connection gets nothing but its end."""
    try:
        return await raw(door, b"") == b""
    except ConnectionResetError:
        return True
