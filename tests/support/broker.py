"""Brokers for the tests: one a session with a virtual host for each test, and private ones to break.

Touches the environment, Docker, HTTP and deploy/dev; its fixtures are loaded by tests/conftest.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, unquote, urlsplit

import pytest

from broker import URL_VARIABLE, docker_answers
from rabbitmq import SECONDS, PrivateNode

#: Where the management API of a given broker is, when it is not on its usual port.
MANAGEMENT_VARIABLE = "KAZOO_TASKS_TEST_MANAGEMENT_URL"
MANAGEMENT_PORT = 15672
MANAGEMENT_LIMIT_S = 10 * SECONDS

IMAGE = "rabbitmq:4-management"


#: What `rabbitmqctl` is told to have a broker run short of a resource, and to have it find enough again.
SHORTAGES: Final = {
    "memory": ("set_vm_memory_high_watermark", "0.00001", "0.4"),
    "disk": ("set_disk_free_limit", "1000000GB", "50MB"),
}


class VirtualHosts(Protocol):
    """Makes and removes virtual hosts."""

    def add_vhost(self, name: str) -> None:
        """A virtual host of this name exists, and the tests' user may do anything in it."""

    def delete_vhost(self, name: str) -> None:
        """The virtual host of this name is gone."""


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
    hosts: VirtualHosts

    @contextmanager
    def fresh_vhost(self) -> Iterator[str]:
        """The URL of a virtual host that nobody else uses, gone afterwards."""
        name = f"test-{secrets.token_hex(6)}"
        self.hosts.add_vhost(name)
        try:
            yield f"{self.url}{name}"
        finally:
            self.hosts.delete_vhost(name)


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


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionBroker]:
    """The session's broker: a given one, else one in Docker, else a private node. None is a failure."""
    with _session_broker(tmp_path_factory.mktemp("rabbitmq")) as found:
        yield found


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


@contextmanager
def _session_broker(directory: Path) -> Iterator[SessionBroker]:
    url = os.environ.get(URL_VARIABLE)
    if url:
        yield _given(url)
    elif docker_answers():
        with _container() as contained:
            yield contained
    else:
        with PrivateNode(directory) as node:
            yield SessionBroker(node.url, f"a private node on port {node.port}", node)


def _given(url: str) -> SessionBroker:
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}/"
    credentials = parts.netloc.rpartition("@")[0]
    usual = f"http://{credentials}@{parts.hostname}:{MANAGEMENT_PORT}"
    hosts = Management(os.environ.get(MANAGEMENT_VARIABLE, usual))
    return SessionBroker(base, f"the broker given in {URL_VARIABLE}", hosts)


@contextmanager
def _container() -> Iterator[SessionBroker]:
    # Only where there is an engine: the import alone looks for one.
    from testcontainers.community.rabbitmq import RabbitMqContainer  # noqa: PLC0415 -- see above

    with RabbitMqContainer(IMAGE).with_exposed_ports(MANAGEMENT_PORT) as container:
        host = container.get_container_host_ip()
        amqp, management = (container.get_exposed_port(port) for port in (container.port, MANAGEMENT_PORT))
        yield SessionBroker(
            f"amqp://guest:guest@{host}:{amqp}/",
            f"{IMAGE} under Docker",
            Management(f"http://guest:guest@{host}:{management}"),
        )
