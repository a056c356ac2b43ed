"""Where a measure plays: the broker, fresh virtual hosts, our processes with a journal on disk, the peers.

Touches the private node, .run/ and processes; handed to every measure.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Final, TypeVar

from bench.figure import Results
from bench.process import OURS, PEERS, RUN, kill, line, running
from kazoo_tasks.settings import DEVELOPMENT_TOKEN, Settings
from rabbitmq import PrivateNode

#: All that is shipped, as by default, and ours.
MODULES: Final = ",".join([*Settings.model_fields["modules"].default, "bench.bench_task"])
TOKEN: Final = DEVELOPMENT_TOKEN
T = TypeVar("T")
_READY_S: Final = 60.0
_POLL_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Service:
    """A running service of ours, or a gateway.

    Attributes:
        ready_s: From the start of the process to being ready.
        event: The log line that said so.
    """

    url: str
    process: Popen[bytes]
    ready_s: float
    event: Mapping[str, object]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid


@dataclass(slots=True)
class Stage:
    """Everything that a measure may use.

    Attributes:
        runs: How often each side is measured.
    """

    node: PrivateNode
    runs: int
    results: Results = field(default_factory=Results)
    _hosts: int = 0

    def interleaved(self, sides: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
        """What each side came to in each run; the order turns with the runs, so that none is always first."""
        found: dict[str, list[T]] = {name: [] for name in sides}
        order = list(sides)
        for _ in range(self.runs):
            for name in order:
                found[name].append(sides[name]())
            order.append(order.pop(0))
        return found

    @contextmanager
    def host(self) -> Iterator[str]:
        """The URL of a virtual host of its own."""
        self._hosts += 1
        name = f"bench-{self._hosts}"
        self.node.add_vhost(name)
        try:
            yield f"{self.node.url}{name}"
        finally:
            self.node.delete_vhost(name)

    @contextmanager
    def service(self, data: Path | None = None, **more: str) -> Iterator[Service]:
        """A service of ours with two slots, on a host of its own and a copy of the given data directory.

        It is killed afterwards: its good-bye would be a snapshot.
        """
        with self.host() as url, directory() as fresh:
            if data is not None:
                shutil.copytree(data, fresh / "data")
            with started("service", url, fresh / "data", **more) as service:
                try:
                    yield service
                finally:
                    kill(service.process)

    @contextmanager
    def peer(self, module: str, *arguments: str, **environment: str) -> Iterator[Popen[bytes]]:
        """A module of this package in the peers' environment."""
        command = [PEERS, "-m", f"bench.{module}", *arguments]
        with running(command, RUN / "bench" / f"{module}.log", environment) as process:
            yield process

    @contextmanager
    def ready_peer(self, module: str, *arguments: str, **environment: str) -> Iterator[Popen[bytes]]:
        """The same, once it has said that it is ready."""
        with self.peer(module, *arguments, **environment) as process:
            line(process)
            yield process


@contextmanager
def started(kind: str, url: str, data: Path, **more: str) -> Iterator[Service]:
    """A process of ours, once it is ready; `more` are settings, and variables where they are in capitals."""
    log = data.parent / f"{kind}.log"
    begin = log.stat().st_size if log.exists() else 0
    before = time.monotonic()
    with running([OURS, "-m", "kazoo_tasks", kind], log, _environment(url, data, more)) as process:
        event = _await(log, begin, "gateway.listening" if kind == "gateway" else "service.ready", process)
        yield Service(url, process, time.monotonic() - before, event)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory on the disk of the repository, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=RUN / "bench", prefix="run-") as path:
        yield Path(path)


def _environment(url: str, data: Path, more: Mapping[str, str]) -> dict[str, str]:
    settings = {
        "amqp_url": url,
        "data_dir": str(data),
        "http_port": "0",
        "health_port": "0",
        "pool_size": "2",
        "modules": MODULES,
        "development": "true",
    }
    settings |= {name: value for name, value in more.items() if name.islower()}
    given = {f"KAZOO_TASKS_{name.upper()}": value for name, value in settings.items()}
    return {**given, **{name: value for name, value in more.items() if name.isupper()}}


def _await(log: Path, begin: int, event: str, process: Popen[bytes]) -> dict[str, object]:
    """The first log line of an event."""
    wanted = f'"{event}"'.encode()
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with log.open("rb") as file:
            file.seek(begin)
            for each in file:
                if wanted in each and each.endswith(b"\n"):
                    found: dict[str, object] = json.loads(each)
                    return found
        time.sleep(_POLL_S)
    raise RuntimeError(f"expected {event}, got exit code {process.poll()}: {log.read_text()[-2000:]}")
