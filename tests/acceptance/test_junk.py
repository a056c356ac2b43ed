"""What is no request, on the queue of a running service: put aside, told, and no hindrance to the next good one.

Touches a broker and a process through pika: all junk is sent once, and each test looks at one consequence.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import statistics
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from support.acceptance import ACCOUNT, environment
from support.acceptance_wire import KAZOO_TIMESTAMP, Stranger
from support.broker import SessionBroker
from support.program import Program, running

log = logging.getLogger(__name__)
ANSWER_LIMIT_S = 0.050
MIB: Final = 2**20
#: The heap of a service that looked at 9 MB and at a bomb, and unpacked the bomb no further than it had to.
MEMORY_LIMIT: Final = 256 * MIB


@dataclass(frozen=True, slots=True)
class Junk:
    """A message that is no request.

    Attributes:
        said: What the log must say of it, among other things.
        encoding: Its content encoding.
    """

    body: bytes
    said: str
    key: str = "tasks.add"
    encoding: str | None = None


def request(**changes: object) -> bytes:
    """A request to add a task, with something wrong about it; `None` leaves a header out."""
    good = {
        "App-Name": "crossbar",
        "App-Version": "4.0.0",
        "Event-Category": "tasks",
        "Event-Name": "add_req",
        "Msg-ID": "junk",
        "Account-ID": ACCOUNT,
        "Module": "timer",
        "Function": "sleep",
        "Arguments": [0],
    }
    changed = good | {name.replace("_", "-"): value for name, value in changes.items()}
    return json.dumps({name: value for name, value in changed.items() if value is not None}).encode()


def bomb(size_mib: int = 512) -> bytes:
    """So much of nothing in half a megabyte: one packed block, again and again."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + block * size_mib + packer.flush()


JUNK: Final = {
    "empty": Junk(b"", "expected JSON"),
    "no JSON": Junk(b"junk", "expected JSON"),
    "no text": Junk(b"\xff\xfe\x00", "expected JSON"),
    "JSON that ends too early": Junk(request()[:-1], "expected JSON"),
    "a list": Junk(b"[]", "expected a JSON object, got list"),
    "nested without end": Junk(b"[" * 100_000 + b"]" * 100_000, "expected"),
    "a number of a hundred digits": Junk(request(Arguments=[10**100]), "expected integers to fit in 64 bits"),
    "no headers": Junk(b"{}", "App-Name: Field is required"),
    "no Msg-ID": Junk(request(Msg_ID=None), "Msg-ID: Field is required"),
    "another category": Junk(request(Event_Category="call"), "Event-Category"),
    "an unknown event": Junk(request(Event_Name="bogus_req"), "Event-Name", key="tasks.bogus"),
    "an account that is a number": Junk(request(Account_ID=7), "Account-ID"),
    "arguments that are a text": Junk(request(Arguments="0"), "Arguments"),
    "no function": Junk(request(Function=None), "Function"),
    "a Server-ID too long for a key": Junk(request(Server_ID="x" * 256), "Server-ID"),
    "9 MB": Junk(request(Arguments=["x" * 9_000_000]), "expected at most 8000000 bytes"),
    "gzip that is none": Junk(b"junk", "expected gzip", encoding="gzip"),
    "gzip that ends too early": Junk(gzip.compress(request())[:-9], "expected gzip", encoding="gzip"),
    "a gzip bomb": Junk(bomb(), "to unpack to at most 8000000 bytes", encoding="gzip"),
    "an unknown encoding": Junk(request(), "expected content_encoding to be gzip, got 'br'", encoding="br"),
}


@dataclass(frozen=True)
class Found:
    """What became of the junk.

    Attributes:
        dead: By name, the messages among the dead letters after it was sent.
        told: By name, the log lines about it.
        answered_s: How long the next good request took.
        left: Messages in the two queues when all was over.
        counts: What the service had counted when it stopped.
        memory: The most bytes that it ever had.
    """

    dead: dict[str, list[bytes]]
    told: dict[str, dict[str, Any]]
    answered_s: dict[str, float]
    left: dict[str, int]
    counts: dict[str, Any]
    memory: int
    losses: int


@pytest.fixture(scope="module")
def found(broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """All junk sent, one after the other, each followed by a good request."""
    with broker.fresh_vhost() as url:
        yield asyncio.run(_send_all(url, tmp_path_factory.mktemp("junk")))


async def _send_all(url: str, folder: Path) -> Found:
    dead, told, answered_s = {}, {}, {}
    async with running("service", environment=environment(url, folder / "data")) as service:
        with Stranger(url) as stranger:
            stranger.ask("list_req", Account_ID=ACCOUNT)
            for count, (name, junk) in enumerate(JUNK.items(), 1):
                dead[name] = _put_aside(stranger, junk)
                told[name] = await service.logged("listener.dead_lettered", count)
                answered_s[name] = _ask(stranger)
            memory = _most_memory(service)
            await service.stop()
            left = {queue: stranger.depth(queue) for queue in ("tasks.dead", "tasks.requests")}
    counts = (await service.logged("service.stopped"))["requests"]
    losses = sum(line["event"] == "bus.lost" for line in service.log)
    return Found(dead, told, answered_s, left, counts, memory, losses)


def _put_aside(stranger: Stranger, junk: Junk) -> list[bytes]:
    stranger.post(junk.body, junk.key, content_encoding=junk.encoding, timestamp=KAZOO_TIMESTAMP)
    return [post.body for post in stranger.take("tasks.dead")]


def _ask(stranger: Stranger) -> float:
    began = time.monotonic()
    assert stranger.ask("list_req", Account_ID=ACCOUNT).json["Reply"] == []
    return time.monotonic() - began


def _most_memory(service: Program) -> int:
    status = Path(f"/proc/{service.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_dead_lettered_and_logged(found: Found, name: str) -> None:
    """As it was sent, with the reason in the log."""
    assert found.dead[name] == [JUNK[name].body]
    assert JUNK[name].said in found.told[name]["reason"]
    assert found.told[name]["routing_key"] == JUNK[name].key


def test_each_is_put_aside_once(found: Found) -> None:
    """There is no other message in any queue, and the service has counted as many as were sent."""
    assert found.left == {"tasks.dead": 0, "tasks.requests": 0}
    assert found.counts["dead_lettered"] == len(JUNK)
    assert found.losses == 0


def test_the_next_good_request_is_answered_at_once(found: Found) -> None:
    """In under 50 ms: the median over all kinds of junk."""
    times_s = sorted(found.answered_s.values())
    log.info("answered in %.4f s, at most %.4f s", statistics.median(times_s), times_s[-1])
    assert statistics.median(times_s) < ANSWER_LIMIT_S


def test_no_junk_fills_the_memory(found: Found) -> None:
    """Not even half a gigabyte of nothing, packed."""
    log.info("at most %d MiB", found.memory // MIB)
    assert found.memory < MEMORY_LIMIT
