"""What can be set about the gateway.

Plain values without the environment; assembly fills them in from the settings model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ISSUER: Final = "kazoo"
Algorithm = Literal["RS256", "ES256", "HS256"]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where to listen, and how much patience to have.

    Attributes:
        port: 0 for any free one.
        max_connections: More than these are hung up on; keep it below the limit of open files.
        max_connections_per_address: More than these from one address are hung up on, so that others find room.
        head_timeout_s: How long a request's head may take, from the connection or the head's first byte on.
        keepalive_s: How long a connection may go without a request.
        body_timeout_s: How long a request's body may take to arrive.
        max_body_bytes: Bodies that are read at once, in all connections together.
        write_look_s: In this time a client must take 64 KiB of its answer, if there is as much.
        shutdown_s: How long requests under way may take once the gateway is closing.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_connections: int = 1000
    max_connections_per_address: int = 500
    head_timeout_s: float = 10.0
    keepalive_s: float = 75.0
    body_timeout_s: float = 30.0
    max_body_bytes: int = 64 * 2**20
    write_look_s: float = 10.0
    shutdown_s: float = 5.0


@dataclass(frozen=True, slots=True)
class DevelopmentToken:
    """A token that everybody knows, for one account; only on loopback."""

    token: str
    account_id: str


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """How signed tokens are checked; exactly one of the keys must be given, and it must fit the algorithm.

    Attributes:
        algorithm: The only one that is accepted, whatever a token says of itself.
        public_key_file: PEM, for RS256 and ES256.
        jwks_file: A JSON Web Key Set, for RS256 and ES256; the token's `kid` chooses the key.
        secret: At least 32 bytes, for HS256.
    """

    algorithm: Algorithm
    public_key_file: Path | None = None
    jwks_file: Path | None = None
    secret: str | None = None
    issuer: str = ISSUER


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Where tokens are looked up; every source that is given counts, in the order of the attributes."""

    development: DevelopmentToken | None = None
    tokens_file: Path | None = None
    jwt: JwtSettings | None = None
