"""The gateway as the settings want it: where it listens, whose tokens it knows, what it needs to be well.

Touches the network for as long as it is open; used by the programs that have one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from kazoo_tasks.assembly.door import sender_of
from kazoo_tasks.assembly.health import Check, Checkup, gateway_checks
from kazoo_tasks.bus.caller import BusCaller
from kazoo_tasks.gateway.auth import open_authenticator
from kazoo_tasks.gateway.identity import Authenticator
from kazoo_tasks.gateway.server import Gateway
from kazoo_tasks.gateway.settings import AuthSettings, DevelopmentToken, GatewaySettings, JwtSettings
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.ports import Bus
from kazoo_tasks.settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_TOKEN, Settings, variable


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


@asynccontextmanager
async def opened_gateway(
    settings: Settings,
    bus: Bus,
    authenticator: Authenticator,
    checks: Mapping[str, Check] = MappingProxyType({}),
) -> AsyncIterator[tuple[Gateway, Checkup]]:
    """A gateway that listens, and how it is; `checks` are those of a service in the same process.

    The bus may have no connection yet.

    Raises:
        CannotStart: The address cannot be listened on.
    """
    caller = BusCaller(bus, sender_of(settings), settings.amqp_timeout_s)
    health = Checkup({**gateway_checks(bus, caller), **checks})
    listening = GatewaySettings(host=settings.http_host, port=settings.http_port)
    gateway = Gateway(listening, caller, authenticator, health)
    await caller.open()
    await gateway.start()
    try:
        yield gateway, health
    finally:
        await gateway.close()


@asynccontextmanager
async def closing(gateway: Gateway) -> AsyncIterator[None]:
    """Close it before what comes before this: it listens from the first moment, and would end with nobody to ask."""
    try:
        yield
    finally:
        await gateway.close()


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
