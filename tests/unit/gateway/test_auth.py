"""Several sources of tokens as one, and what is refused at the start."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kazoo_tasks.gateway.auth import open_authenticator
from kazoo_tasks.gateway.identity import Identity
from kazoo_tasks.gateway.settings import AuthSettings, DevelopmentToken, JwtSettings
from kazoo_tasks.gateway.signed_token import Grant, mint_jwt
from kazoo_tasks.gateway.token_file import add_token, mint_token
from kazoo_tasks.model.errors import CannotStart

ACCOUNT = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
OTHER = "f" * 32
SECRET = "s" * 32
DEVELOPMENT = DevelopmentToken("dev-token", ACCOUNT)


class TestSources:
    """Who is known, and by what."""

    def test_every_source_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "tokens.json"
        opaque, record = mint_token(OTHER, superduper_admin=True)
        add_token(path, record)
        known = open_authenticator(
            AuthSettings(DEVELOPMENT, path, JwtSettings("HS256", secret=SECRET)), "127.0.0.1"
        )
        signed = mint_jwt(Grant(OTHER, int(time.time()) + 60), "HS256", SECRET)
        assert known.identify("dev-token") == Identity(ACCOUNT)
        assert known.identify(opaque) == Identity(OTHER, superduper_admin=True)
        assert known.identify(signed) == Identity(OTHER)
        assert known.identify("another") is None

    def test_no_source_is_no_start(self) -> None:
        with pytest.raises(CannotStart, match="expected a tokens file or JWT keys"):
            open_authenticator(AuthSettings(), "127.0.0.1")

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
    def test_development_on_loopback(self, host: str) -> None:
        assert open_authenticator(AuthSettings(DEVELOPMENT), host).identify("dev-token") == Identity(ACCOUNT)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104 - refused
    def test_development_beyond_loopback_is_no_start(self, host: str) -> None:
        with pytest.raises(CannotStart, match="loopback"):
            open_authenticator(AuthSettings(DEVELOPMENT), host)

    @pytest.mark.parametrize("token", ["", "dév-token", "dev-toke", "dev-token "])
    def test_only_the_whole_token_is_the_token(self, token: str) -> None:
        assert open_authenticator(AuthSettings(DEVELOPMENT), "127.0.0.1").identify(token) is None

    def test_an_admin_covers_every_account(self) -> None:
        assert Identity(ACCOUNT).covers(ACCOUNT)
        assert not Identity(ACCOUNT).covers(OTHER)
        assert Identity(ACCOUNT, superduper_admin=True).covers(OTHER)
