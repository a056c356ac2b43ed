"""The gateway's HTTP over real sockets: headers, encodings, odd requests, limits, start and close."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kazoo_tasks.assembly.health import Checkup
from kazoo_tasks.gateway.server import Gateway
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.model.errors import CannotStart
from support.gateway import (
    ACCOUNT,
    KNOWN_TOKENS,
    SETTINGS,
    TASK,
    TASK_ID,
    TASKS,
    TOKEN,
    Door,
    ScriptedService,
    a_task,
    open_door,
)

NEW = {"module": "timer", "function": "sleep", "arguments": [1]}
BODY = json.dumps({"data": NEW}).encode()
MANY = [a_task() for _ in range(20)]


def a_head(*lines: str, token: str = TOKEN) -> bytes:
    """The head of a request to add something."""
    return "\r\n".join(
        [f"PUT {TASKS} HTTP/1.1", "Host: x", f"X-Auth-Token: {token}", *lines, "", ""]
    ).encode()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A gateway in front of a service that grants everything."""
    async with open_door() as opened:
        opened.service.replies("read_req", a_task())
        opened.service.replies("start_req", a_task())
        opened.service.replies("remove_req", a_task())
        opened.service.replies("list_req", MANY)
        opened.service.replies("add_req", a_task())
        yield opened


class TestToken:
    """Where a token may be, and that it goes nowhere else."""

    async def test_bearer(self, door: Door) -> None:
        heard = await door.ask("GET", TASK, token=None, headers={"Authorization": f"bearer {TOKEN}"})
        assert (heard.status, heard.json["auth_token"]) == (200, TOKEN)

    async def test_x_auth_token_comes_first(self, door: Door) -> None:
        heard = await door.ask("GET", TASK, token="wrong", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (heard.status, heard.json["auth_token"]) == (401, "wrong")

    @pytest.mark.parametrize("authorization", ["Basic abc", "Bearer", "Bearer ", TOKEN])
    async def test_other_authorization_is_no_token(self, door: Door, authorization: str) -> None:
        heard = await door.ask("GET", TASK, token=None, headers={"Authorization": authorization})
        assert (heard.status, heard.json["auth_token"]) == (401, "undefined")

    async def test_the_query_is_no_place_for_it(self, door: Door) -> None:
        heard = await door.ask("GET", f"{TASK}?auth_token={TOKEN}", token=None)
        assert (heard.status, heard.json["auth_token"]) == (401, "undefined")

    async def test_bytes_that_are_no_text(self, door: Door) -> None:
        request = (
            b"GET "
            + TASK.encode()
            + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: \xff\xfe\r\n\r\n"
        )
        heard = await door.raw(request)
        assert (heard.status, heard.json["auth_token"]) == (401, "??")

    async def test_no_log_line_has_it(self, door: Door) -> None:
        with capture_logs() as lines:
            await door.ask("GET", f"{TASK}?auth_token={TOKEN}", headers={"X-Request-ID": "r-1"})
        (line,) = lines
        duration = line.pop("duration_ms")
        assert duration >= 0
        assert line == {
            "event": "gateway.request",
            "log_level": "info",
            "method": "GET",
            "path": TASK,
            "status": 200,
            "request_id": "r-1",
            "account": ACCOUNT,
        }


class TestRequestId:
    """The client's if it is sane."""

    async def test_echoed(self, door: Door) -> None:
        heard = await door.ask("GET", TASK, headers={"X-Request-ID": "mine: 1"})
        assert (heard.json["request_id"], heard.headers["X-Request-ID"]) == ("mine: 1", "mine: 1")

    @pytest.mark.parametrize("sent", ["x" * 65, "schön", "a\tb", ""])
    async def test_replaced(self, door: Door, sent: str) -> None:
        heard = await door.ask("GET", TASK, headers={"X-Request-ID": sent})
        made = heard.headers["X-Request-ID"]
        assert heard.json["request_id"] == made
        assert len(bytes.fromhex(made)) == 16


class TestBody:
    """JSON, whatever it says it is."""

    @pytest.mark.parametrize(
        "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", None]
    )
    async def test_any_content_type(self, door: Door, kind: str | None) -> None:
        headers = {"Content-Type": kind} if kind else {}
        skipped = () if kind else ("Content-Type",)
        heard = await door.ask("PUT", TASKS, data=BODY, headers=headers, skip_auto_headers=skipped)
        assert heard.status == 201

    @pytest.mark.parametrize("body", [None, b"", b"{}", b"[1]", b'"x"', b'{"data": {}}'])
    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    async def test_start_and_remove_take_any(self, door: Door, method: str, body: bytes | None) -> None:
        assert (await door.ask(method, TASK, data=body)).status == 200

    async def test_gzip(self, door: Door) -> None:
        headers = {"Content-Encoding": "GZIP"}
        assert (await door.ask("PUT", TASKS, data=gzip.compress(BODY), headers=headers)).status == 201

    @pytest.mark.parametrize(
        ("body", "encoding", "said"),
        [
            (gzip.compress(BODY, mtime=0)[:-9], "gzip", "a cut stream"),
            (BODY, "gzip", "expected gzip"),
            (BODY, "br", "br"),
        ],
    )
    async def test_bad_encodings(self, door: Door, body: bytes, encoding: str, said: str) -> None:
        heard = await door.ask("PUT", TASKS, data=body, headers={"Content-Encoding": encoding})
        assert heard.status == 400
        assert said in heard.json["data"]["json"]["invalid"]["message"]

    async def test_what_unpacks_to_too_much(self, door: Door) -> None:
        body = gzip.compress(b" " * 8_000_001)
        heard = await door.ask("PUT", TASKS, data=body, headers={"Content-Encoding": "gzip"})
        assert (heard.status, list(heard.json["data"]["file"])) == (413, ["maxSize"])

    async def test_expect_continue(self, door: Door) -> None:
        """What curl does with a long body."""
        heard = await door.ask("PUT", TASKS, data=BODY, expect100=True)
        assert heard.status == 201

    async def test_a_body_too_large_is_not_asked_for(self, door: Door) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
        writer.write(a_head("Connection: close", "Expect: 100-continue", "Content-Length: 8000001"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        await writer.wait_closed()

    async def test_json_that_grows_in_translation(self, door: Door) -> None:
        """Ten characters become twenty, which the service would not read."""
        numbers = b",".join([b"1E15"] * 100_000)
        text = b'"' + b"x" * 7_000_000 + b'",'
        body = b'{"data":{"module":"m","function":"f","arguments":[' + text + numbers + b"]}}"
        heard = await door.ask("PUT", TASKS, data=BytesIO(body))
        assert (heard.status, list(heard.json["data"])) == (413, ["file"])

    async def test_slow(self) -> None:
        async with open_door(replace(SETTINGS, body_timeout_s=0.02)) as door:
            heard = await door.raw(a_head("Content-Length: 9") + b"{")
        assert (heard.status, heard.json["message"]) == (408, "request_timeout")
        assert heard.headers["Connection"] == "close"

    async def test_broken_chunks(self, door: Door) -> None:
        heard = await door.raw(a_head("Transfer-Encoding: chunked", "Connection: close") + b"zz\r\n{}\r\n")
        assert heard.status == 400

    async def test_hung_up(self, door: Door) -> None:
        """Nobody hears the answer, and nobody is blamed."""
        with capture_logs() as lines:
            _, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            writer.write(a_head("Content-Length: 9") + b"{")
            await writer.drain()
            writer.transport.abort()
            while not lines:
                await door.ask("GET", TASK)
            await door.gateway.close()
        assert "gateway.bug" not in [line["event"] for line in lines]


class TestPath:
    """One way to write each path."""

    async def test_a_trailing_slash_is_forgiven(self, door: Door) -> None:
        assert (await door.ask("GET", f"{TASK}/")).status == 200

    async def test_percent_encoding(self, door: Door) -> None:
        assert (await door.raw_path(TASK.replace("tasks", "%74asks").encode())).status == 200

    @pytest.mark.parametrize(
        "path",
        [
            f"/v2/accounts/{ACCOUNT}%2ftasks",
            f"/v2/accounts/{ACCOUNT}/tasks/..",
            f"/v2/accounts/{ACCOUNT}/tasks/%2e%2e",
            f"/v2/accounts/{ACCOUNT}//tasks",
            f"/v2/accounts/{ACCOUNT}/tasks//",
            f"//v2/accounts/{ACCOUNT}/tasks",
            f"/v2/accounts/{ACCOUNT}/tasks/%00",
            f"/v2/accounts/{ACCOUNT}/tasks/%ff",
            f"/v2/accounts/{ACCOUNT}/tasks/%1b[31m",
            "/",
            "/v2/accounts/tasks",
        ],
    )
    async def test_others_are_not_found(self, door: Door, path: str) -> None:
        heard = await door.raw_path(path.encode())
        assert (heard.status, heard.json["message"]) == (404, "not_found")

    async def test_bytes_that_are_no_utf_8(self, door: Door) -> None:
        heard = await door.raw_path(TASKS.encode() + b"/\xff")
        assert heard.status in (400, 404)

    async def test_a_query_that_is_no_utf_8(self, door: Door) -> None:
        assert (await door.raw_path(TASKS.encode() + b"?module=%ff%fe")).status == 200


class TestMethods:
    """HEAD where GET is, OPTIONS everywhere."""

    @pytest.mark.parametrize("path", [TASK, TASKS])
    async def test_head(self, door: Door, path: str) -> None:
        headers = {"X-Request-ID": "r"}
        got = await door.ask("GET", path, headers=headers)
        heard = await door.ask("HEAD", path, headers=headers)
        assert (heard.status, heard.body) == (200, b"")
        assert heard.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.body))
        assert heard.headers["ETag"] == got.headers["ETag"]

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            (TASKS, "OPTIONS, HEAD, GET, PUT"),
            (TASK, "OPTIONS, HEAD, GET, PATCH, DELETE"),
            (f"{TASK}/stop", "OPTIONS, PATCH"),
            ("/v2/tasks", "OPTIONS, HEAD, GET"),
        ],
    )
    async def test_options(self, door: Door, path: str, allowed: str) -> None:
        heard = await door.ask("OPTIONS", path, token=None, headers={"Origin": "https://example.com"})
        assert (heard.status, heard.body) == (200, b"")
        assert heard.headers["Access-Control-Allow-Methods"] == allowed
        assert heard.headers["Access-Control-Allow-Origin"] == "*"
        assert "x-auth-token" in heard.headers["Access-Control-Allow-Headers"]
        assert heard.headers["Access-Control-Max-Age"] == "86400"

    async def test_cors_on_errors(self, door: Door) -> None:
        heard = await door.ask("GET", TASK, token=None)
        assert heard.headers["Access-Control-Allow-Origin"] == "*"
        assert "x-request-id" in heard.headers["Access-Control-Expose-Headers"]


class TestAnswer:
    """ETag, gzip, indentation."""

    async def test_the_same_content_has_the_same_etag(self, door: Door) -> None:
        first, second = await door.ask("GET", TASK), await door.ask("GET", TASK)
        assert first.headers["ETag"] == second.headers["ETag"]
        door.service.replies("read_req", a_task(started_at=63631324861, is_terminated=False))
        assert (await door.ask("GET", TASK)).headers["ETag"] != first.headers["ETag"]

    @pytest.mark.parametrize("form", ["{0}", '"x", {0}', "{1}", "*"])
    async def test_not_modified(self, door: Door, form: str) -> None:
        etag = (await door.ask("GET", TASK)).headers["ETag"]
        known = form.format(etag, etag.removeprefix("W/"))
        heard = await door.ask("GET", TASK, headers={"If-None-Match": known, "X-Request-ID": "r"})
        assert (heard.status, heard.body) == (304, b"")
        assert (heard.headers["ETag"], heard.headers["X-Request-ID"]) == (etag, "r")

    async def test_modified(self, door: Door) -> None:
        heard = await door.ask("GET", TASK, headers={"If-None-Match": '"x", W/"y"'})
        assert heard.status == 200

    async def test_changes_have_no_etag(self, door: Door) -> None:
        heard = await door.ask("PATCH", TASK, headers={"If-None-Match": "*"})
        assert heard.status == 200
        assert "ETag" not in heard.headers

    async def test_pages_with_different_keys_have_different_etags(self, door: Door) -> None:
        etags = set()
        for key in ("a", "b"):
            door.service.replies("list_req", [], Next_Start_Key=key)
            etags.add((await door.ask("GET", TASKS)).headers["ETag"])
        assert len(etags) == 2

    @pytest.mark.parametrize("count", [20, 2_000])
    async def test_gzip(self, door: Door, count: int) -> None:
        door.service.replies("list_req", [a_task()] * count)
        heard = await door.ask("GET", TASKS, headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert heard.headers["Content-Encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(heard.body))["data"]) == count

    @pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "identity, gzip; q=0.0", "notgzip"])
    async def test_no_gzip(self, door: Door, accepted: str) -> None:
        heard = await door.ask("GET", TASKS, headers={"Accept-Encoding": accepted})
        assert "Content-Encoding" not in heard.headers
        assert heard.json["data"] == MANY

    async def test_small_answers_are_left_alone(self, door: Door) -> None:
        heard = await door.ask("GET", TASK, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in heard.headers

    async def test_pretty_print(self, door: Door) -> None:
        heard = await door.ask("GET", f"{TASK}?pretty_print=true")
        assert heard.body.startswith(b'{\n    "auth_token": "')
        assert heard.json["data"] == a_task()

    async def test_it_says_what_it_is(self, door: Door) -> None:
        heard = await door.ask("GET", TASK)
        assert heard.headers["Content-Type"] == "application/json"
        assert heard.headers["Server"] == "kazoo-tasks"


class TestBugs:
    """What nobody expected is told to the log alone."""

    async def test_the_trace_is_in_the_log(self, door: Door) -> None:
        door.service.answers["read_req"] = ZeroDivisionError("secret")
        with capture_logs() as lines:
            heard = await door.ask("GET", TASK, headers={"X-Request-ID": "r"})
        assert b"secret" not in heard.body
        bug = next(line for line in lines if line["event"] == "gateway.bug")
        assert (bug["request_id"], str(bug["exc_info"])) == ("r", "secret")

    async def test_heads_that_cannot_be_read_are_not_repeated_in_the_log(self, door: Door) -> None:
        """They may hold a token."""
        with capture_logs() as lines:
            heard = await door.raw(b"GET /?auth_token=secret HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n")
        assert heard.status == 400
        assert lines == [{"event": "gateway.unreadable", "reason": "BadHttpMessage", "log_level": "info"}]

    async def test_a_bug_of_the_server_itself_is_told(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(door.gateway._http, "request_handler", broken)
        with capture_logs() as lines:
            assert (await door.ask("GET", TASK)).status == 500
        assert [line["event"] for line in lines] == ["gateway.bug"]


class TestAnyBytes:
    """No body, path, query or header makes it fail."""

    runner: ClassVar[asyncio.Runner]
    door: ClassVar[Door]

    @settings(max_examples=300, deadline=None)
    @given(
        body=st.one_of(
            st.binary(max_size=200),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=8,
            ).map(lambda value: json.dumps({"data": value}).encode()),
        ),
        method=st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "DELETE", "POST", "OPTIONS"]),
        encoding=st.sampled_from(["", "gzip"]),
    )
    def test_bodies(self, body: bytes, method: str, encoding: str) -> None:
        path = TASK if method in ("PATCH", "DELETE") else TASKS
        assert self.runner.run(self.status(method, path, body, encoding)) < 500

    @settings(max_examples=300, deadline=None)
    @given(tail=st.binary(max_size=60), token=st.binary(max_size=20))
    def test_heads(self, tail: bytes, token: bytes) -> None:
        head = b"GET " + TASKS.encode() + tail + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        request = head + b"X-Auth-Token: " + token + b"\r\nX-Request-ID: " + token + b"\r\n\r\n"
        assert self.runner.run(self.raw_status(request)) < 500

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _a_door_for_all_examples(cls) -> Any:
        with asyncio.Runner() as runner:
            cls.runner = runner
            opening = open_door()
            cls.door = runner.run(opening.__aenter__())
            for event in ("read_req", "start_req", "remove_req", "list_req", "add_req"):
                cls.door.service.replies(event, a_task())
            yield
            runner.run(opening.__aexit__(None, None, None))

    async def status(self, method: str, path: str, body: bytes, encoding: str) -> int:
        headers = {"Content-Encoding": encoding} if encoding else {}
        return (await self.door.ask(method, path, data=body, headers=headers)).status

    async def raw_status(self, request: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.gateway.port)
        writer.write(request)
        try:
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()
            await writer.wait_closed()


class TestStart:
    """It listens, or says in one sentence why not."""

    async def test_port_taken(self) -> None:
        async with open_door() as door:
            port = door.gateway.port
            another = Gateway(replace(SETTINGS, port=port), ScriptedService(), KNOWN_TOKENS, Checkup({}))
            with pytest.raises(
                CannotStart, match=f"^cannot listen on 127.0.0.1:{port}: address already in use$"
            ):
                await another.start()
            await another.close()

    @pytest.mark.parametrize(("host", "port"), [("no such host", 0), ("192.0.2.1", 0), ("127.0.0.1", 70_000)])
    async def test_bad_address(self, host: str, port: int) -> None:
        gateway = Gateway(GatewaySettings(host, port), ScriptedService(), KNOWN_TOKENS, Checkup({}))
        with pytest.raises(CannotStart, match=f"^cannot listen on {host}:{port}: [a-z]"):
            await gateway.start()

    async def test_port_before_the_start(self) -> None:
        assert Gateway(GatewaySettings(port=8123), ScriptedService(), KNOWN_TOKENS, Checkup({})).port == 8123

    @pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
    async def test_a_connection_too_many_takes_the_place_of_an_idle_one(self, limit: str) -> None:
        """Half a head counts as idle: a thousand of them lock nobody out."""
        async with open_door(_limited_to(limit, 2)) as door:
            door.service.replies("read_req", a_task())
            halves = [await asyncio.open_connection("127.0.0.1", door.gateway.port) for _ in range(5)]
            for _, writer in halves:
                writer.write(b"GET / HTTP/1.1\r\nHost:")
            assert (await door.ask("GET", TASK)).status == 200
            assert [await reader.read() for reader, _ in halves[:4]] == [b""] * 4
            for _, writer in halves:
                writer.close()

    @pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
    async def test_a_connection_too_many_is_hung_up_on_while_all_are_busy(self, limit: str) -> None:
        async with open_door(_limited_to(limit, 1)) as door:
            arrived, may_go = asyncio.Event(), asyncio.Event()
            door.service.answers["read_req"] = _held(arrived, may_go)
            asking = asyncio.create_task(door.ask("GET", TASK))
            await arrived.wait()
            reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            assert await _rest(reader) == b""
            writer.close()
            may_go.set()
            assert (await asking).status == 200

    async def test_another_address_finds_room(self) -> None:
        async with open_door(replace(SETTINGS, max_connections=2, max_connections_per_address=1)) as door:
            arrived, may_go = asyncio.Event(), asyncio.Event()
            door.service.answers["read_req"] = _held(arrived, may_go)
            asking = asyncio.create_task(door.ask("GET", TASK))
            await arrived.wait()
            elsewhere = await asyncio.open_connection(
                "127.0.0.1", door.gateway.port, local_addr=("127.0.0.2", 0)
            )
            elsewhere[1].write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await elsewhere[0].readline()).split()[1] == b"200"
            elsewhere[1].close()
            may_go.set()
            await asking

    async def test_a_connection_that_never_asks_is_hung_up_on(self) -> None:
        async with open_door(replace(SETTINGS, head_timeout_s=0.02)) as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            writer.write(b"GET / HTTP/1.1\r\nHost:")
            assert await reader.read() == b""
            writer.close()

    async def test_half_a_head_behind_a_whole_one_is_hung_up_on(self) -> None:
        async with open_door(replace(SETTINGS, head_timeout_s=0.02)) as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok")
            writer.write(b"GET / HTT")
            assert b"HTTP" not in await reader.read()
            writer.close()

    async def test_a_client_that_does_not_read_is_hung_up_on(self) -> None:
        """Its answer would stay in memory for as long as it likes."""
        async with open_door(replace(SETTINGS, write_look_s=0.05)) as door:
            door.service.replies("read_req", a_task(result="x" * 30_000_000))
            with capture_logs() as lines:
                _, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port, limit=1)
                writer.write(f"GET {TASK} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {TOKEN}\r\n\r\n".encode())
                async with asyncio.timeout(10):
                    while "gateway.reader_too_slow" not in [line["event"] for line in lines]:
                        await door.ask("GET", "/health/live")
                writer.transport.abort()

    async def test_a_client_that_reads_slowly_is_waited_for(self) -> None:
        """As long as it takes something."""
        async with open_door(replace(SETTINGS, write_look_s=0.1)) as door:
            door.service.replies("read_req", a_task(result="x" * 20_000_000))
            reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            writer.write(
                a_head("Connection: close").replace(b"PUT", b"GET").replace(TASKS.encode(), TASK.encode())
            )
            came = 0
            while part := await reader.read(400_000):
                came += len(part)
                await asyncio.sleep(0.01)
            writer.close()
        assert came > 20_000_000

    async def test_unfinished_bodies_have_one_budget(self) -> None:
        """Who comes last is told to come again, and it is given back."""
        async with open_door(replace(SETTINGS, max_body_bytes=1_000)) as door:
            door.service.replies("add_req", a_task())
            first, writing = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            writing.write(a_head("Content-Length: 901", "Expect: 100-continue"))
            assert (await first.readline()).split()[1] == b"100"
            writing.write(b" " * 900)
            async with asyncio.timeout(10):
                while (heard := await door.ask("PUT", TASKS, data=BODY + b" " * 200)).status != 503:
                    pass
            assert (heard.json["message"], heard.headers["Retry-After"]) == ("overloaded", "2")
            writing.transport.abort()
            async with asyncio.timeout(10):
                while (await door.ask("PUT", TASKS, data=BODY + b" " * 200)).status != 201:
                    pass

    async def test_a_flood_of_chunks_is_hung_up_on(self, door: Door) -> None:
        """Each of one byte: to put a million of them together takes a second of everybody's time."""
        with capture_logs() as lines:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
            writer.write(a_head("Transfer-Encoding: chunked") + b"1\r\n \r\n" * 100_000)
            assert b"200" not in await _rest(reader)
            writer.transport.abort()
        assert "gateway.flood" in [line["event"] for line in lines]


class TestMalformed:
    """What is no HTTP is answered like everything else, and nothing of it is repeated."""

    @pytest.mark.parametrize(
        "request_",
        [
            b"GET /?auth_token=secret HTTP/1.1\nHost: x\n\n",
            b"GET /?auth_token=secret HTTP/1.1\r\nHost: x\r\nbad header secret\r\n\r\n",
            b"G\x00T /secret HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /" + b"secret" * 2_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /secret HTTP/9.9\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01secret\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nX: secret\r\n\r\n",
        ],
    )
    async def test_it_is_answered_in_our_envelope(self, door: Door, request_: bytes) -> None:
        with capture_logs() as lines:
            heard = await door.raw(request_)
        assert (heard.status, heard.json["error"], heard.json["message"]) == (400, "400", "invalid_request")
        assert heard.json["auth_token"] == "undefined"
        assert (heard.headers["Connection"], b"secret" in heard.body) == ("close", False)
        assert [line["event"] for line in lines] == ["gateway.unreadable"]
        assert "secret" not in str(lines)


class TestHealthPaths:
    """Probes read; whatever else is sent there is refused."""

    @pytest.mark.parametrize("method", ["DELETE", "PUT", "POST", "PATCH"])
    async def test_other_methods(self, door: Door, method: str) -> None:
        heard = await door.ask(method, "/health/live", token=None)
        assert (heard.status, heard.headers["Allow"]) == (405, "GET, HEAD")


class TestNobodyUnknownCosts:
    """The token comes before the body."""

    async def test_an_unknown_sender_is_not_asked_for_a_body(self, door: Door) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
        writer.write(a_head("Content-Length: 8000000", "Expect: 100-continue", token="nobody"))
        assert (await reader.readline()).split()[1] == b"401"
        writer.close()
        await writer.wait_closed()


class TestOlderRelease:
    """What a release before this took in is shown as far as it can be."""

    async def test_one_task_that_cannot_be_written_hides_no_other(self, door: Door) -> None:
        deep: object = None
        for _ in range(260):
            deep = [deep]
        door.service.replies("list_req", [a_task(), a_task(id="b" * 30, result=deep), a_task(result=2**70)])
        heard = await door.ask("GET", TASKS)
        good, deep_one, long_one = heard.json["data"]
        assert (heard.status, good) == (200, a_task())
        assert (deep_one["id"], deep_one["error"].partition(":")[0]) == (
            "b" * 30,
            "this task cannot be shown",
        )
        assert long_one["error"].startswith("this task cannot be shown: ")

    async def test_indenting_has_a_bound(self, door: Door) -> None:
        """Two hundred levels make two hundred times as much of it."""
        value: object = list(range(50_000))
        for _ in range(230):
            value = [value]
        door.service.replies("read_req", a_task(result=value))
        heard = await door.ask("GET", f"{TASK}?pretty_print=true")
        assert heard.json["data"]["result"] == value
        assert len(heard.body) < 1_000_000


class TestClose:
    """Requests under way end; what waits for ever does not keep it."""

    async def test_a_request_under_way_is_answered(self) -> None:
        async with open_door(replace(SETTINGS, shutdown_s=10)) as door:
            arrived, may_go = asyncio.Event(), asyncio.Event()
            door.service.answers["read_req"] = _held(arrived, may_go)
            asking = asyncio.create_task(door.ask("GET", TASK))
            await arrived.wait()
            closing = asyncio.create_task(door.gateway.close())
            await asyncio.wait([closing], timeout=0.01)
            may_go.set()
            assert (await asking).status == 200
            await closing

    async def test_one_that_waits_for_ever_is_not_waited_for(self) -> None:
        async with open_door(replace(SETTINGS, shutdown_s=0.02)) as door:
            arrived = asyncio.Event()
            door.service.answers["read_req"] = _held(arrived, asyncio.Event())
            asking = asyncio.create_task(door.ask("GET", TASK))
            await arrived.wait()
            async with asyncio.timeout(1):
                await door.gateway.close()
            await asyncio.wait([asking])
            assert asking.exception() is not None

    async def test_nobody_is_let_in_afterwards(self) -> None:
        async with open_door() as door:
            port = door.gateway.port
            await door.gateway.close()
            await door.gateway.close()
            with pytest.raises(OSError, match=r"[Cc]onnect"):
                await asyncio.open_connection("127.0.0.1", port)

    async def test_before_the_start(self) -> None:
        await Gateway(SETTINGS, ScriptedService(), KNOWN_TOKENS, Checkup({})).close()

    async def test_the_port_is_free_again(self) -> None:
        async with open_door() as door:
            port = door.gateway.port
        async with open_door(replace(SETTINGS, port=port)) as door:
            assert door.gateway.port == port


def _held(arrived: asyncio.Event, may_go: asyncio.Event) -> Any:
    async def answer() -> dict[str, Any]:
        arrived.set()
        await may_go.wait()
        return {"Reply": a_task(id=TASK_ID)}

    return answer


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the other end hangs up, politely or not."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def _limited_to(limit: str, count: int) -> GatewaySettings:
    """The settings with one of the limits of connections."""
    if limit == "max_connections":
        return replace(SETTINGS, max_connections=count)
    return replace(SETTINGS, max_connections_per_address=count)
