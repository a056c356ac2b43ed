"""The adapters that the settings choose: which bus, which journal, whose tokens.

Touches nothing yet; what it builds is opened by `program`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from kazoo_tasks.assembly.clock import SystemClock
from kazoo_tasks.bus.amqp import AmqpBus
from kazoo_tasks.bus.memory import MemoryBroker, MemoryBus
from kazoo_tasks.bus.topology import RequestQueue
from kazoo_tasks.gateway.auth import open_authenticator
from kazoo_tasks.gateway.identity import Authenticator
from kazoo_tasks.gateway.settings import AuthSettings, DevelopmentToken, GatewaySettings, JwtSettings
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.ports import Bus, Journal
from kazoo_tasks.settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_TOKEN, Settings, variable
from kazoo_tasks.store.shelf import Keep
from kazoo_tasks.store.sqlite import SqliteJournal
from kazoo_tasks.wire.header import Sender

_MEMORY: Final = "memory:"
_MILLISECONDS: Final = 1000


def sender_of(settings: Settings) -> Sender:
    """The name that everything is written under."""
    return Sender(settings.node, version("kazoo-tasks"))


def build_bus(settings: Settings) -> Bus:
    """The broker, or an in-process one.

    Raises:
        CannotStart: The URL is neither.
    """
    url = settings.amqp_url.get_secret_value()
    queue = RequestQueue(
        settings.queue, settings.queue_max_length, settings.queue_ttl_s * _MILLISECONDS, settings.prefetch
    )
    if url.startswith(_MEMORY):
        return MemoryBus(MemoryBroker(queue))
    return AmqpBus(url, queue, name=settings.node)


def is_shared(settings: Settings) -> bool:
    """Whether other processes can reach the bus."""
    return not settings.amqp_url.get_secret_value().startswith(_MEMORY)


def build_journal(settings: Settings) -> Journal:
    """The journal in the data directory."""
    return SqliteJournal(
        settings.data_dir, SystemClock(), Keep(settings.snapshot_keep, settings.snapshot_keep_days)
    )


def gateway_settings(settings: Settings) -> GatewaySettings:
    """Where the gateway listens."""
    return GatewaySettings(host=settings.http_host, port=settings.http_port)


def health_settings(settings: Settings) -> GatewaySettings:
    """Where a service without gateway answers probes."""
    return GatewaySettings(host=settings.health_host, port=settings.health_port)


def build_authenticator(settings: Settings) -> Authenticator:
    """Whoever is configured to know tokens.

    Raises:
        CannotStart: Nobody is, or a key is missing.
    """
    if not (settings.development or settings.tokens_file or settings.jwt_algorithm):
        choices = [variable(name) for name in ("tokens_file", "jwt_algorithm", "development")]
        raise CannotStart(f"the gateway knows no tokens: expected one of {', '.join(choices)} to be set")
    development = DevelopmentToken(DEVELOPMENT_TOKEN, DEVELOPMENT_ACCOUNT) if settings.development else None
    return open_authenticator(
        AuthSettings(development, settings.tokens_file, _jwt_settings(settings)), settings.http_host
    )


def _jwt_settings(settings: Settings) -> JwtSettings | None:
    if settings.jwt_algorithm is None:
        return None
    file = settings.jwt_key_file
    is_set = file is not None and file.suffix in (".json", ".jwks")
    return JwtSettings(
        algorithm=settings.jwt_algorithm,
        public_key_file=None if is_set else file,
        jwks_file=file if is_set else None,
        secret=settings.jwt_secret.get_secret_value() if settings.jwt_secret else None,
        issuer=settings.jwt_issuer,
    )
