"""The commands for tokens: what a REST client identifies itself with.

Touches the token file, or a signing key; the token is printed once and kept nowhere.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from kazoo_tasks.cli.option import Account, Config, settings_of
from kazoo_tasks.gateway.settings import Algorithm
from kazoo_tasks.model.errors import CannotStart

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S

app = typer.Typer(
    name="token", help="Make tokens for REST clients.", no_args_is_help=True, rich_markup_mode=None
)
Admin = Annotated[bool, typer.Option("--superduper-admin", help="Let it act for every account.")]


@app.command("new")
def new(
    account: Account,
    *,
    days: Annotated[
        int | None, typer.Option(min=1, help="Days until it expires; never, if not given.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    superduper_admin: Admin = False,
    config: Config = None,
) -> None:
    """Make a token, and add its digest to the tokens file of the settings."""
    from kazoo_tasks.gateway.token_file import add_token, mint_token

    settings = settings_of(config)
    if settings.tokens_file is None:
        raise CannotStart("expected KAZOO_TASKS_TOKENS_FILE to say where tokens are kept, got nothing")
    expires_at = time.time() + days * _DAY_S if days else None
    token, record = mint_token(account, superduper_admin=superduper_admin, expires_at=expires_at, note=note)
    add_token(settings.tokens_file, record)
    print(token)


@app.command("jwt")
def signed(
    account: Account,
    *,
    key: Annotated[Path | None, typer.Option(help="PEM private key; the settings' secret for HS256.")] = None,
    hours: Annotated[int, typer.Option(min=1, help="Hours until it expires.")] = 1,
    superduper_admin: Admin = False,
    config: Config = None,
) -> None:
    """Make a JWT by the algorithm of the settings."""
    from kazoo_tasks.gateway.signed_token import Grant, mint_jwt

    settings = settings_of(config)
    if settings.jwt_algorithm is None:
        raise CannotStart("expected KAZOO_TASKS_JWT_ALGORITHM to say how JWTs are signed, got nothing")
    expires_at = int(time.time()) + hours * _HOUR_S
    grant = Grant(account, expires_at, superduper_admin, settings.jwt_issuer)
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    print(mint_jwt(grant, settings.jwt_algorithm, _key(settings.jwt_algorithm, key, secret)))


def _key(algorithm: Algorithm, file: Path | None, secret: str | None) -> str:
    if algorithm == "HS256":
        if secret is None:
            raise CannotStart("expected KAZOO_TASKS_JWT_SECRET for HS256, got nothing")
        return secret
    if file is None:
        raise CannotStart(f"expected --key to name the private key for {algorithm}, got nothing")
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise CannotStart(f"cannot read the key in {file}: {error.strerror}") from error
