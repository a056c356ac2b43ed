"""Brokers for the tests: one a session with a virtual host for each test, and private ones to break.

Touches the environment, Docker, HTTP and deploy/dev; its fixtures are loaded by tests/conftest.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

import pytest

from broker import URL_VARIABLE, require_node_package
from container import AMQP_PORT, IMAGE, MANAGEMENT_PORT, ContainerFailed, require_engine
from rabbitmq import BOOT_LIMIT_S, SECONDS, NodeFailed, PrivateNode

#: Where the management API of a given broker is, when it is not on its usual port. Without our prefix, as the next
#: one: the programs under test inherit them, and refuse what begins as a setting and is none.
MANAGEMENT_VARIABLE = "TEST_MANAGEMENT_URL"
MANAGEMENT_LIMIT_S = 10 * SECONDS

#: `container` or `node` when it has to be this one: what is proved about one must not be shown with the other.
CHOICE_VARIABLE = "TEST_BROKER"

#: What `rabbitmqctl` is told to have a broker run short of a resource, and to have it find enough again.
SHORTAGES: Final = {
    "memory": ("set_vm_memory_high_watermark", "0.00001", "0.4"),
    "disk": ("set_disk_free_limit", "1000000GB", "50MB"),
}


@dataclass(frozen=True, slots=True)
class Management:
    """RabbitMQ's management API, for brokers that are not ours to command otherwise.

    Attributes:
        address: Its scheme, credentials, host and port.
    """

    address: str

    def add_vhost(self, name: str) -> None:
        """A virtual host of this name exists, and the user of the address may do anything in it."""
        user = quote(unquote(urlsplit(self.address).username or ""), safe="")
        self._request("PUT", f"/api/vhosts/{name}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._request("PUT", f"/api/permissions/{name}/{user}", everything)

    def delete_vhost(self, name: str) -> None:
        """The virtual host of this name is gone."""
        self._request("DELETE", f"/api/vhosts/{name}", None)

    def _request(self, method: str, path: str, body: dict[str, str] | None) -> None:
        parts = urlsplit(self.address)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=MANAGEMENT_LIMIT_S)
        with closing(connection):
            try:
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                status = connection.getresponse().status
            except OSError as refusal:
                where = f"{parts.hostname}:{parts.port} (set {MANAGEMENT_VARIABLE} to where it is)"
                pytest.fail(f"expected the broker's management API at {where}, got {refusal}", pytrace=False)
        if status >= HTTPStatus.BAD_REQUEST:
            pytest.fail(f"expected {method} {path} of the broker's management API to succeed, got {status}")


@dataclass(frozen=True, slots=True)
class SessionBroker:
    """The broker that all tests of a session share.

    Attributes:
        url: Its default virtual host, with a slash at the end.
        description: What was chosen.
        hosts: How it gets further virtual hosts.
    """

    url: str
    description: str
    hosts: PrivateNode | Management

    def told(self) -> dict[str, Any]:
        """What another process needs to use it as well."""
        shared: dict[str, Any] = {"url": self.url, "description": self.description}
        if isinstance(self.hosts, PrivateNode):
            return {**shared, "directory": str(self.hosts.directory), "ports": self.hosts.ports}
        return {**shared, "management": self.hosts.address}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """The broker that another process has told of."""
        if "directory" in told:
            hosts: PrivateNode | Management = PrivateNode(Path(told["directory"]), told["ports"])
        else:
            hosts = Management(told["management"])
        return cls(told["url"], told["description"], hosts)

    @contextmanager
    def fresh_vhost(self) -> Iterator[str]:
        """The URL of a virtual host that nobody else uses, gone afterwards."""
        name = f"test-{secrets.token_hex(6)}"
        self.hosts.add_vhost(name)
        try:
            yield f"{self.url}{name}"
        finally:
            self.hosts.delete_vhost(name)


_STARTED = pytest.StashKey[ExitStack]()
_SHARED = pytest.StashKey[SessionBroker]()
#: How a process that runs tests for another finds what that has started.
_WORKER_INPUT: Final = "broker"


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark that `pytest_collection_modifyitems` gives."""
    config.addinivalue_line("markers", "broker: uses the session's broker, whichever that is")
    if getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(Shared())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the session's broker, before `-m` looks at marks."""
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()):
            item.add_marker("broker")


class Shared:
    """Hooks of the process that has others run the tests: they all use the one broker that it starts."""

    @pytest.hookimpl
    def pytest_report_header(self, config: pytest.Config) -> str:
        """Start it, and say at the head of the run which it is."""
        return _told(config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Have a process know it."""
        if _SHARED in node.config.stash:
            node.workerinput[_WORKER_INPUT] = node.config.stash[_SHARED].told()


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Start the broker if a test wants one, and say at the head of the run which it is."""
    if config.option.collectonly or not any(item.get_closest_marker("broker") for item in items):
        return []
    return [_told(config)]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the broker with the run."""
    if _STARTED in config.stash:
        config.stash[_STARTED].close()


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config) -> SessionBroker:
    """The session's broker: a given one, else one in Docker, else a private node. None is a failure."""
    return _shared(pytestconfig)


@pytest.fixture
def amqp_url(broker: SessionBroker) -> Iterator[str]:
    """The URL of a virtual host of the session's broker that this test has for itself."""
    with broker.fresh_vhost() as url:
        yield url


@asynccontextmanager
async def short_of(node: PrivateNode, resource: str) -> AsyncIterator[None]:
    """For the length of a `with` the node has too little of it, and blocks all who publish."""
    command, too_much, enough = SHORTAGES[resource]
    await asyncio.to_thread(node.ctl, command, too_much)
    try:
        yield
    finally:
        await asyncio.to_thread(node.ctl, command, enough)


@pytest.fixture
def private_broker(tmp_path: Path) -> Iterator[PrivateNode]:
    """A running node of the test's own, to be paused, killed and started again."""
    with PrivateNode(tmp_path / "rabbitmq") as node:
        yield node


def _told(config: pytest.Config) -> str:
    try:
        return f"broker: {_shared(config).description}"
    except (NodeFailed, ContainerFailed) as failure:
        # The tests that want it fail by themselves; the others may run.
        return f"broker: none, {failure}"


def _shared(config: pytest.Config) -> SessionBroker:
    """The session's broker, started by whoever asks first."""
    if told := getattr(config, "workerinput", {}).get(_WORKER_INPUT):
        return SessionBroker.of(told)
    if _SHARED not in config.stash:
        with ExitStack() as started:
            config.stash[_SHARED] = _find(started)
            config.stash[_STARTED] = started.pop_all()
    return config.stash[_SHARED]


def _find(started: ExitStack) -> SessionBroker:
    url, choice = os.environ.get(URL_VARIABLE), os.environ.get(CHOICE_VARIABLE)
    if url:
        return _given(url)
    if choice == "node":
        return _node(started, f"{CHOICE_VARIABLE} asks for it")
    try:
        return started.enter_context(_container())
    except ContainerFailed as failure:
        if choice == "container":
            raise
        return _node(started, str(failure))


def _node(started: ExitStack, reason: str) -> SessionBroker:
    require_node_package()
    directory = started.enter_context(tempfile.TemporaryDirectory(prefix="rabbitmq-"))
    node = started.enter_context(PrivateNode(Path(directory)))
    return SessionBroker(node.url, f"a private RabbitMQ node on port {node.port} ({reason})", node)


def _given(url: str) -> SessionBroker:
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}/"
    credentials = parts.netloc.rpartition("@")[0]
    usual = f"http://{credentials}@{parts.hostname}:{MANAGEMENT_PORT}"
    hosts = Management(os.environ.get(MANAGEMENT_VARIABLE, usual))
    return SessionBroker(base, f"the broker given in {URL_VARIABLE}", hosts)


@contextmanager
def _container() -> Iterator[SessionBroker]:
    require_engine()
    # The reaper would be one more image to pull, and wants the engine's socket; what is started here ends here.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    # Only where there is an engine, and with that set: the import reads the environment, and looks for an engine.
    # mypy finds tests/docker in its place.
    from docker.errors import DockerException  # type: ignore[import-not-found]  # noqa: PLC0415 -- see above
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 -- see above
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415 -- see above

    # The library's own class for RabbitMQ waits by means that the library itself calls deprecated. This is logged
    # after the last listener is up; a port alone answers as soon as Docker publishes it.
    up = LogMessageWaitStrategy("Server startup complete").with_startup_timeout(int(BOOT_LIMIT_S))
    with ExitStack() as started:
        try:
            contained = DockerContainer(IMAGE).with_exposed_ports(AMQP_PORT, MANAGEMENT_PORT).waiting_for(up)
            started.enter_context(contained)
            host = contained.get_container_host_ip()
            amqp, management = map(contained.get_exposed_port, (AMQP_PORT, MANAGEMENT_PORT))
        except (DockerException, OSError, RuntimeError) as failure:
            raise ContainerFailed(f"{IMAGE} did not start: {str(failure).splitlines()[0]}") from failure
        yield SessionBroker(
            f"amqp://guest:guest@{host}:{amqp}/",
            f"{IMAGE} in a container, on port {amqp}",
            Management(f"http://guest:guest@{host}:{management}"),
        )
