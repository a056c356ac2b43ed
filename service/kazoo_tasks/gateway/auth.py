"""All configured sources of tokens as one.

Touches the files that the sources read; built by assembly, asked by the pipeline.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from kazoo_tasks.gateway.identity import Authenticator, Identity
from kazoo_tasks.gateway.settings import AuthSettings, DevelopmentToken
from kazoo_tasks.gateway.token_file import TokenFile
from kazoo_tasks.model.errors import CannotStart


@dataclass(frozen=True, slots=True)
class FixedToken:
    """The one token of development mode."""

    token: str
    identity: Identity

    def identify(self, token: str) -> Identity | None:
        """See `Authenticator`."""
        return self.identity if hmac.compare_digest(token.encode(), self.token.encode()) else None


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Several sources; the first one that knows a token decides."""

    sources: Sequence[Authenticator]

    def identify(self, token: str) -> Identity | None:
        """See `Authenticator`."""
        for source in self.sources:
            if (identity := source.identify(token)) is not None:
                return identity
        return None


def open_authenticator(settings: AuthSettings, host: str) -> Authenticator:
    """Everything that the settings name, ready to be asked by a gateway on this host.

    Raises:
        CannotStart: No source is named, one cannot be read, or development mode would leave loopback.
    """
    sources: list[Authenticator] = []
    if settings.development is not None:
        sources.append(_development(settings.development, host))
    if settings.tokens_file is not None:
        sources.append(TokenFile(settings.tokens_file))
    if settings.jwt is not None:
        # Only who asks for JWTs carries PyJWT and cryptography, 11 MB of them.
        from kazoo_tasks.gateway.signed_token import signed_tokens  # noqa: PLC0415

        sources.append(signed_tokens(settings.jwt))
    if not sources:
        raise CannotStart("expected a tokens file or JWT keys to know callers by, got neither")
    return sources[0] if len(sources) == 1 else FirstOf(sources)


def _development(known: DevelopmentToken, host: str) -> FixedToken:
    if not _is_loopback(host):
        raise CannotStart(f"expected development mode to listen on a loopback address, got {host}")
    return FixedToken(known.token, Identity(known.account_id))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
