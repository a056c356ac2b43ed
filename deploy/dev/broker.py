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

from container import IMAGE, BrokerContainer, ContainerFailed
from rabbitmq import SERVER, PrivateNode

ROOT = Path(__file__).resolve().parents[2]
URL_VARIABLE = "KAZOO_TASKS_AMQP_URL"


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
    try:
        return _contained()
    except ContainerFailed as failure:
        # Whatever Docker lacks here is no reason not to work.
        return _private(run_directory, str(failure))


def require_node_package() -> None:
    """The package of a private node is installed, if this machine and its user can do that; it tells why if not."""
    if not SERVER.exists():
        subprocess.run([str(ROOT / "deploy" / "dev" / "setup.sh"), "node"], check=False)


def _contained() -> Broker:
    with ExitStack() as started:
        container = started.enter_context(BrokerContainer())
        where = f"port {urlsplit(container.url).port}, management at {container.management}"
        return Broker(container.url, f"{IMAGE} in a container, on {where}", started.pop_all().close)


def _private(run_directory: Path, no_container: str) -> Broker:
    require_node_package()
    run_directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as started:
        directory = started.enter_context(tempfile.TemporaryDirectory(dir=run_directory, prefix="rabbitmq-"))
        node = started.enter_context(PrivateNode(Path(directory)))
        description = f"a private RabbitMQ node on port {node.port} (no {URL_VARIABLE}; {no_container})"
        return Broker(node.url, description, started.pop_all().close)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5672}{parts.path}"


def _nothing() -> None:
    """Leave a given broker as it is."""
