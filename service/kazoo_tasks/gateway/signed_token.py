"""Signed tokens: JSON Web Tokens as Kazoo issues them.

Uses PyJWT and touches key files, never the network; asked by the pipeline, minted by the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms

from kazoo_tasks.gateway.identity import Identity
from kazoo_tasks.gateway.settings import ISSUER, Algorithm, JwtSettings
from kazoo_tasks.gateway.watched_file import WatchedFile
from kazoo_tasks.model.errors import CannotStart, Corrupt
from kazoo_tasks.model.identity import is_account_id
from kazoo_tasks.wire.codec import decode_object

_LEEWAY_S: Final = 30
_MAX_TOKEN_CHARACTERS: Final = 8_000
_MIN_SECRET_BYTES: Final = 32
_MIN_RSA_BITS: Final = 2048

#: Keys by `kid`; the one under `None` is for tokens that need not say which.
Keys = Mapping[str | None, Any]


@dataclass(frozen=True, slots=True)
class SignedTokens:
    """Believes what is signed with one of the keys by the one algorithm."""

    algorithm: Algorithm
    issuer: str
    keys: Callable[[], Keys]

    def identify(self, token: str) -> Identity | None:
        """See `Authenticator`."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        try:
            claims = self._claims(token)
        except jwt.PyJWTError:
            return None
        account_id = claims["account_id"]
        if not (isinstance(account_id, str) and is_account_id(account_id)):
            return None
        return Identity(account_id, claims.get("superduper_admin") is True)

    def _claims(self, token: str) -> dict[str, Any]:
        keys = self.keys()
        kid = jwt.get_unverified_header(token).get("kid")
        key = keys.get(kid, keys.get(None))
        if key is None:
            raise jwt.InvalidKeyError
        return jwt.decode(
            token,
            key,
            algorithms=[self.algorithm],
            issuer=self.issuer,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iss", "account_id"], "verify_aud": False},
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """What a signed token shall say.

    Attributes:
        expires_at: Unix seconds.
    """

    account_id: str
    expires_at: int
    superduper_admin: bool = False
    issuer: str = ISSUER


def mint_jwt(grant: Grant, algorithm: Algorithm, key: str, kid: str | None = None) -> str:
    """A token signed with a PEM private key, or with the secret for HS256.

    Raises:
        CannotStart: The key does not fit the algorithm.
    """
    if algorithm == "HS256":
        _long_enough(key)
    claims: dict[str, Any] = {"account_id": grant.account_id, "exp": grant.expires_at, "iss": grant.issuer}
    if grant.superduper_admin:
        claims["superduper_admin"] = True
    try:
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid} if kid else None)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise CannotStart(f"expected a private key for {algorithm}: {error}") from error


def signed_tokens(settings: JwtSettings) -> SignedTokens:
    """What the settings say, with the keys read.

    Raises:
        CannotStart: There is no key or more than one source of them, or it does not fit the algorithm.
    """
    given = [source for source in (settings.public_key_file, settings.jwks_file, settings.secret) if source]
    if len(given) != 1:
        raise CannotStart(f"expected one of public key file, JWKS file and secret for JWTs, got {len(given)}")
    return SignedTokens(settings.algorithm, settings.issuer, _keys(settings))


def _keys(settings: JwtSettings) -> Callable[[], Keys]:
    algorithm = settings.algorithm
    if (algorithm == "HS256") != bool(settings.secret):
        raise CannotStart(f"expected a {'secret' if algorithm == 'HS256' else 'public key'} for {algorithm}")
    if settings.secret:
        secret = _single(_long_enough(settings.secret))
        return lambda: secret
    if settings.public_key_file:
        return WatchedFile(settings.public_key_file, lambda pem: _single(_public_key(algorithm, pem))).content
    assert settings.jwks_file is not None  # noqa: S101 - one of the three is given
    return WatchedFile(settings.jwks_file, lambda text: _key_set(algorithm, text)).content


def _single(key: Any) -> Keys:
    return {None: key}


def _long_enough(secret: str) -> bytes:
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        raise CannotStart(f"expected the secret for HS256 to be at least {_MIN_SECRET_BYTES} bytes")
    return secret.encode()


def _public_key(algorithm: Algorithm, pem: bytes) -> Any:
    try:
        key = get_default_algorithms()[algorithm].prepare_key(pem)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise CannotStart(f"expected a public key for {algorithm} in PEM") from error
    return _fitting(algorithm, key)


def _key_set(algorithm: Algorithm, text: bytes) -> Keys:
    try:
        entries = decode_object(text).get("keys")
    except Corrupt as error:
        raise CannotStart(str(error)) from error
    if not isinstance(entries, list):
        raise CannotStart('expected {"keys": [...]}')
    keys = [_key(algorithm, entry) for entry in entries if _is_meant_for(algorithm, entry)]
    if not keys:
        raise CannotStart(f"expected a key for {algorithm} among the {len(entries)} keys, got none")
    # Of several keys a token must name its own; a single one serves those that name none.
    return dict(keys) if len(keys) > 1 else {keys[0][0]: keys[0][1], None: keys[0][1]}


def _is_meant_for(algorithm: Algorithm, entry: object) -> bool:
    kind = {"RS256": "RSA", "ES256": "EC"}[algorithm]
    return isinstance(entry, dict) and entry.get("kty") == kind and entry.get("alg", algorithm) == algorithm


def _key(algorithm: Algorithm, entry: dict[str, Any]) -> tuple[str | None, Any]:
    try:
        key = jwt.PyJWK(entry, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise CannotStart(f"expected key {entry.get('kid')!r} to be a JSON Web Key: {error}") from error
    kid = entry.get("kid")
    return (kid if isinstance(kid, str) else None), _fitting(algorithm, key)


def _fitting(algorithm: Algorithm, key: object) -> object:
    """Refuse private keys too: a gateway has no business with one."""
    if algorithm == "RS256" and isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if algorithm == "ES256" and isinstance(key, EllipticCurvePublicKey):
        return key
    kind = f"RSA, {_MIN_RSA_BITS} bits or more" if algorithm == "RS256" else "EC"
    raise CannotStart(f"expected a public key for {algorithm} ({kind}), got another kind of key")
