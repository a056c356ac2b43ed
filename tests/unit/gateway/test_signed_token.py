"""JSON Web Tokens: one algorithm, one issuer, known keys, and nothing else."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.gateway.identity import Identity
from kazoo_tasks.gateway.settings import Algorithm, JwtSettings
from kazoo_tasks.gateway.signed_token import Grant, SignedTokens, mint_jwt, signed_tokens
from kazoo_tasks.model.errors import CannotStart

ACCOUNT = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
SECRET = "s" * 32
CURVES: dict[str, ec.EllipticCurve] = {"ec": ec.SECP256R1(), "other curve": ec.SECP384R1()}
RSA_BITS = {"rsa": 2048, "other rsa": 2048, "short rsa": 1024}
HS256 = signed_tokens(JwtSettings("HS256", secret=SECRET))


def soon() -> int:
    """A good time to expire."""
    return int(time.time()) + 3600


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says, or another one; `None` leaves out."""
    said = {"account_id": ACCOUNT, "exp": soon(), "iss": "kazoo"} | changes
    return {name: value for name, value in said.items() if value is not None}


@cache
def private_key(kind: str) -> str:
    """A private key in PEM; made once, since that takes a while."""
    made: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
        ec.generate_private_key(CURVES[kind])
        if kind in CURVES
        else rsa.generate_private_key(65537, RSA_BITS[kind])
    )
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key(kind: str) -> Any:
    """The public half."""
    return load_pem_private_key(private_key(kind).encode(), None).public_key()


def pem_file(folder: Path, kind: str) -> Path:
    """The public half as a file."""
    path = folder / f"{kind}.pem"
    path.write_bytes(public_key(kind).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def jwks_file(folder: Path, **kinds: str) -> Path:
    """Public halves by `kid` as a JSON Web Key Set."""
    keys = []
    for kid, kind in kinds.items():
        algorithm = jwt.get_algorithm_by_name("RS256" if "rsa" in kind else "ES256")
        keys.append(json.loads(algorithm.to_jwk(public_key(kind))) | {"kid": kid})
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    return path


class TestClaims:
    """What a token must say."""

    def test_minted(self) -> None:
        token = mint_jwt(Grant(ACCOUNT, soon()), "HS256", SECRET)
        assert HS256.identify(token) == Identity(ACCOUNT)

    def test_minted_for_an_admin(self) -> None:
        token = mint_jwt(Grant(ACCOUNT, soon(), superduper_admin=True), "HS256", SECRET)
        assert HS256.identify(token) == Identity(ACCOUNT, superduper_admin=True)

    @pytest.mark.parametrize(
        "changes",
        [
            {"account_id": None},
            {"account_id": ACCOUNT.upper()},
            {"account_id": 7},
            {"exp": None},
            {"exp": 1},
            {"exp": "never"},
            {"iss": None},
            {"iss": "another"},
            {"nbf": 2**40},
        ],
    )
    def test_refused(self, changes: dict[str, Any]) -> None:
        assert HS256.identify(jwt.encode(claims(**changes), SECRET, "HS256")) is None

    def test_clocks_may_differ_a_little(self) -> None:
        late, too_late = int(time.time()) - 20, int(time.time()) - 40
        assert HS256.identify(jwt.encode(claims(exp=late), SECRET, "HS256")) is not None
        assert HS256.identify(jwt.encode(claims(exp=too_late), SECRET, "HS256")) is None

    def test_admins_are_admins_only_by_true(self) -> None:
        token = jwt.encode(claims(superduper_admin="true"), SECRET, "HS256")
        assert HS256.identify(token) == Identity(ACCOUNT)

    def test_other_claims_of_kazoo_are_ignored(self) -> None:
        token = jwt.encode(claims(method="cb_user_auth", owner_id="o", aud="x"), SECRET, "HS256")
        assert HS256.identify(token) == Identity(ACCOUNT)

    def test_another_issuer(self) -> None:
        known = signed_tokens(JwtSettings("HS256", secret=SECRET, issuer="acme"))
        token = mint_jwt(Grant(ACCOUNT, soon(), issuer="acme"), "HS256", SECRET)
        assert known.identify(token) == Identity(ACCOUNT)


class TestForgery:
    """What is signed otherwise, or not at all."""

    def test_another_secret(self) -> None:
        assert HS256.identify(jwt.encode(claims(), "t" * 32, "HS256")) is None

    def test_no_signature(self) -> None:
        assert HS256.identify(jwt.encode(claims(), "", "none")) is None

    def test_another_algorithm(self) -> None:
        assert HS256.identify(jwt.encode(claims(), "s" * 64, "HS512")) is None

    def test_a_public_key_as_a_secret(self, tmp_path: Path) -> None:
        """Whoever knows the public key must not be able to sign with it."""
        path = pem_file(tmp_path, "rsa")
        header = _part({"alg": "HS256", "typ": "JWT"})
        signing_input = f"{header}.{_part(claims())}"
        signature = jwt.get_algorithm_by_name("HS256").sign(signing_input.encode(), path.read_bytes())
        forged = f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        assert signed_tokens(JwtSettings("RS256", public_key_file=path)).identify(forged) is None

    def test_too_long(self) -> None:
        assert HS256.identify(jwt.encode(claims(padding="x" * 8_000), SECRET, "HS256")) is None

    @given(st.text() | st.from_regex(r"[\w-]{0,20}\.[\w-]{0,20}\.[\w-]{0,20}", fullmatch=True))
    def test_any_text(self, token: str) -> None:
        assert HS256.identify(token) is None

    @given(
        st.dictionaries(
            st.sampled_from(["alg", "kid", "crit", "b64", "typ"]), st.none() | st.text() | st.integers()
        ),
        st.text(),
    )
    def test_any_header(self, header: dict[str, Any], payload: str) -> None:
        assert HS256.identify(f"{_part(header)}.{_part(payload)}.") is None


class TestKeys:
    """Which keys are taken, and which of them is used."""

    @pytest.mark.parametrize(("algorithm", "kind"), [("RS256", "rsa"), ("ES256", "ec")])
    def test_pem(self, tmp_path: Path, algorithm: Algorithm, kind: str) -> None:
        known = signed_tokens(JwtSettings(algorithm, public_key_file=pem_file(tmp_path, kind)))
        token = mint_jwt(Grant(ACCOUNT, soon()), algorithm, private_key(kind), kid="any")
        assert known.identify(token) == Identity(ACCOUNT)

    def test_a_set_of_keys(self, tmp_path: Path) -> None:
        known = signed_tokens(
            JwtSettings("RS256", jwks_file=jwks_file(tmp_path, a="rsa", b="other rsa", c="ec"))
        )
        assert _identified(known, "rsa", "a")
        assert _identified(known, "other rsa", "b")
        assert not _identified(known, "other rsa", "a")
        assert not _identified(known, "rsa", "unknown")
        assert not _identified(known, "rsa", None)

    def test_a_set_of_one_key_needs_no_name(self, tmp_path: Path) -> None:
        known = signed_tokens(JwtSettings("RS256", jwks_file=jwks_file(tmp_path, a="rsa")))
        assert _identified(known, "rsa", None)

    def test_a_new_key_counts_at_once(self, tmp_path: Path) -> None:
        known = signed_tokens(JwtSettings("RS256", jwks_file=jwks_file(tmp_path, a="rsa")))
        jwks_file(tmp_path, a="rsa", another="other rsa")
        assert _identified(known, "other rsa", "another")

    @pytest.mark.parametrize(
        ("algorithm", "kind"),
        [("RS256", "ec"), ("ES256", "rsa"), ("RS256", "short rsa"), ("ES256", "other curve")],
    )
    def test_keys_that_do_not_fit(self, tmp_path: Path, algorithm: Algorithm, kind: str) -> None:
        path = pem_file(tmp_path, kind)
        with pytest.raises(CannotStart, match=f"^cannot use {path}: expected a public key for {algorithm}"):
            signed_tokens(JwtSettings(algorithm, public_key_file=path))

    def test_a_private_key_has_no_place_here(self, tmp_path: Path) -> None:
        path = tmp_path / "private.pem"
        path.write_text(private_key("rsa"))
        with pytest.raises(CannotStart, match="expected a public key for RS256"):
            signed_tokens(JwtSettings("RS256", public_key_file=path))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "JSON"),
            ("{}", "keys"),
            ('{"keys": []}', "expected a key for RS256"),
            ('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "expected a key for RS256"),
            ('{"keys": [{"kty": "RSA", "kid": "broken"}]}', "'broken'"),
            ('{"keys": [7]}', "expected a key for RS256"),
        ],
    )
    def test_bad_sets(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "jwks.json"
        path.write_text(text)
        with pytest.raises(CannotStart, match=f"^cannot use {path}: .*{said}"):
            signed_tokens(JwtSettings("RS256", jwks_file=path))

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            (JwtSettings("RS256"), "got 0"),
            (JwtSettings("RS256", Path("a"), Path("b")), "got 2"),
            (JwtSettings("HS256", Path("a")), "expected a secret"),
            (JwtSettings("RS256", secret=SECRET), "expected a public key"),
            (JwtSettings("HS256", secret="short"), "at least 32 bytes"),
            (JwtSettings("RS256", Path("/nowhere/key.pem")), "cannot read /nowhere/key.pem: no such file"),
        ],
    )
    def test_bad_settings(self, settings: JwtSettings, said: str) -> None:
        with pytest.raises(CannotStart, match=said):
            signed_tokens(settings)

    @pytest.mark.parametrize(
        ("algorithm", "key"), [("RS256", "no key"), ("ES256", SECRET), ("HS256", "short")]
    )
    def test_bad_keys_for_minting(self, algorithm: Algorithm, key: str) -> None:
        with pytest.raises(CannotStart):
            mint_jwt(Grant(ACCOUNT, soon()), algorithm, key)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _identified(known: SignedTokens, kind: str, kid: str | None) -> bool:
    return known.identify(mint_jwt(Grant(ACCOUNT, soon()), "RS256", private_key(kind), kid)) is not None
