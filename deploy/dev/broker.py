"""Find a RabbitMQ broker for development, or start one.

Touches the environment, Docker and a private node; called by run.py, and in part by the tests' fixtures.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rabbitmq import SECONDS, PrivateNode

ROOT = Path(__file__).resolve().parents[2]
URL_VARIABLE = "KAZOO_TASKS_AMQP_URL"
DOCKER_ANSWER_S = 3 * SECONDS

_COMPOSE = ["docker", "compose", "-f", str(ROOT / "deploy" / "compose.yaml")]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that can be used, and the end of using it.

    Attributes:
        url: Where clients connect.
        description: What was chosen, to be said on the screen.
        close: Stops what was started for it; nothing when it was given.
    """

    url: str
    description: str
    close: Callable[[], None]


def resolve(run_directory: Path = ROOT / ".run") -> Broker:
    """A broker: the given one, else one under Docker, else a private node with its files in that directory.

    Raises:
        rabbitmq.NodeFailed: When there is neither of the first two, and a private node does not come up.
    """
    url = os.environ.get(URL_VARIABLE)
    if url:
        return Broker(url, f"the broker at {_without_password(url)}, given in {URL_VARIABLE}", _nothing)
    return _composed() if docker_answers() else _private(run_directory)


def docker_answers() -> bool:
    """Whether there is a Docker engine that answers within three seconds."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=DOCKER_ANSWER_S)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _composed() -> Broker:
    subprocess.run([*_COMPOSE, "up", "-d", "--wait", "rabbitmq"], check=True)
    return Broker(
        "amqp://guest:guest@127.0.0.1:5672/",
        "RabbitMQ in a container of deploy/compose.yaml, on port 5672",
        _compose_stop,
    )


def _compose_stop() -> None:
    subprocess.run([*_COMPOSE, "stop", "rabbitmq"], check=True)


def _private(run_directory: Path) -> Broker:
    run_directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as started:
        directory = started.enter_context(tempfile.TemporaryDirectory(dir=run_directory, prefix="rabbitmq-"))
        node = started.enter_context(PrivateNode(Path(directory)))
        description = f"a private RabbitMQ node on port {node.port} (no {URL_VARIABLE}, no Docker engine)"
        return Broker(node.url, description, started.pop_all().close)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5672}{parts.path}"


def _nothing() -> None:
    """Leave a given broker as it is."""
