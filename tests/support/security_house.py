"""A running program to be harmed: asked by bytes, and watched from outside for what they cost.

Touches processes, sockets and /proc; used by the tests of the security room, and by its table.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from kazoo_tasks.settings import PREFIX
from support.acceptance import ACCOUNT, TOKEN, environment
from support.acceptance_wire import Stranger

_LIMIT_S: Final = 60.0
_GLANCE_S: Final = 0.01
TASKS: Final = f"/v2/accounts/{ACCOUNT}/tasks"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, with its size on the wire."""

    status: int
    body: bytes
    bytes_out: int

    @property
    def data(self) -> Any:
        """What the envelope holds."""
        return json.loads(self.body)["data"]


@dataclass(slots=True)
class House:
    """Service and gateway in one process, by blocking clients."""

    port: int
    pid: int
    url: str
    log: Path

    def ask(self, method: str, path: str = "", body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; `headers` replace the token, `_` stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LIMIT_S)
        sent = {"X-Auth-Token": TOKEN, **{name.replace("_", "-"): value for name, value in headers.items()}}
        try:
            connection.request(method, f"{TASKS}{path}", body, sent)
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, content, len(content))
        finally:
            connection.close()

    def add(self, *tasks: Mapping[str, object]) -> list[dict[str, Any]]:
        """Add and start tasks together."""
        answer = self.ask(
            "PUT", body=json.dumps({"data": [{**task, "start": True} for task in tasks]}).encode()
        )
        assert answer.status == 201, answer
        added: list[dict[str, Any]] = answer.data
        return added

    def ended(self, task_id: str) -> dict[str, Any]:
        """Wait for the end of a task."""
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline:
            answer = self.ask("GET", f"/{task_id}")
            assert answer.status == 200, answer
            if answer.data.get("is_terminated"):
                task: dict[str, Any] = answer.data
                return task
        raise AssertionError(f"expected {task_id} to end within {_LIMIT_S} s")

    def health(self) -> int:
        """The status of `/health/ready`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LIMIT_S)
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
        connection.close()
        return status

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = self.log.read_text().splitlines()
        return [
            line for text in lines if text.startswith("{") and (line := json.loads(text))["event"] == name
        ]

    def stranger(self) -> Stranger:
        """A client over AMQP."""
        return Stranger(self.url)


@contextmanager
def a_house(url: str, folder: Path, **settings: str) -> Iterator[House]:
    """The program, ready; it is asked to stop afterwards."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = environment(url, folder / "data", **settings)
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "kazoo_tasks", "run"]
        process = subprocess.Popen(command, stderr=stderr, env={**clean, **given})
    house = House(0, process.pid, url, log)
    try:
        _await_listening(house, process)
        yield house
    finally:
        process.terminate()
        process.wait(_LIMIT_S)


def _await_listening(house: House, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not house.events("service.ready"):
        assert process.poll() is None, house.log.read_text()
        assert time.monotonic() < deadline, house.log.read_text()
        time.sleep(_GLANCE_S)
    house.port = house.events("gateway.listening")[0]["port"]


class Watch:
    """What something costs the program meanwhile: how long nobody else was answered, and memory.

    Attributes:
        held_ms: The longest time that a probe had to wait.
        grown_mib: The most memory above what there was before.
    """

    def __init__(self, house: House) -> None:
        """Watch from `__enter__` to `__exit__`."""
        self._house = house
        self._over = threading.Event()
        self._warm = threading.Event()
        self._thread = threading.Thread(target=self._probe, daemon=True)
        self.held_ms = self.grown_mib = 0.0

    def __enter__(self) -> Self:
        # The peak begins anew.
        Path(f"/proc/{self._house.pid}/clear_refs").write_text("5", encoding="ascii")
        self._before = _status(self._house.pid, "VmRSS")
        self._thread.start()
        assert self._warm.wait(_LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.grown_mib = max(0, _status(self._house.pid, "VmHWM") - self._before) / 1024

    def _probe(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._house.port, timeout=_LIMIT_S)
        while not self._over.is_set():
            began = time.perf_counter()
            connection.request("GET", "/health/live")
            connection.getresponse().read()
            if self._warm.is_set():
                self.held_ms = max(self.held_ms, (time.perf_counter() - began) * 1_000)
            self._warm.set()
        connection.close()


def _status(pid: int, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition(f"{field}:")[2].split()[0])
