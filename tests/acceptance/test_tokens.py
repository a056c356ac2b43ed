"""Tokens made by the commands, and the gateway that is to accept them.

Touches processes and files; no broker is needed for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from support.acceptance import ACCOUNT, NOBODY, OTHER_ACCOUNT, Door, environment, one_process
from support.acceptance_command import command

MEMORY = ("--bus", "memory://")


async def minted(given: dict[str, str], *arguments: str) -> str:
    """The token that a command prints."""
    said = await command("token", *arguments, given=given)
    assert (said.code, said.sentences, len(said.out.splitlines())) == (0, [], 1), said
    return said.out.strip()


async def statuses(door: Door, token: str) -> list[int]:
    """What the gateway says to it, for its own account and for another one."""
    return [
        (await door.ask("GET", token=token, account=account)).status for account in (ACCOUNT, OTHER_ACCOUNT)
    ]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and its public one, as PEM files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


async def test_new_tokens_are_accepted(tmp_path: Path) -> None:
    """For their account, or for every one; also those that are made while the gateway runs."""
    file = tmp_path / "tokens.json"
    given = environment(NOBODY, tmp_path / "data", development="false", tokens_file=str(file))
    token = await minted(given, "new", ACCOUNT, "--note", "for the test")
    assert token not in file.read_text()
    async with one_process(given, *MEMORY) as house:
        admin = await minted(given, "new", ACCOUNT, "--superduper-admin", "--days", "1")
        assert await statuses(house.door, token) == [200, 403]
        assert await statuses(house.door, admin) == [200, 200]
        assert await statuses(house.door, f"{token}x") == [401, 401]


async def test_tokens_signed_with_a_secret_are_accepted(tmp_path: Path) -> None:
    """HS256: the gateway has the same secret; one that was changed is refused."""
    given = environment(
        NOBODY, tmp_path / "data", development="false", jwt_algorithm="HS256", jwt_secret="s" * 32
    )
    elsewhere = {**given, "KAZOO_TASKS_JWT_SECRET": "t" * 32}
    token, other = await asyncio.gather(*(minted(each, "jwt", ACCOUNT) for each in (given, elsewhere)))
    async with one_process(given, *MEMORY) as house:
        assert await statuses(house.door, token) == [200, 403]
        assert await statuses(house.door, other) == [401, 401]


async def test_tokens_signed_with_a_private_key_are_accepted(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """RS256: the gateway has the public key alone."""
    private, public = keys
    given = environment(
        NOBODY, tmp_path / "data", development="false", jwt_algorithm="RS256", jwt_key_file=str(public)
    )
    words = ("jwt", ACCOUNT, "--key", str(private))
    token, admin = await asyncio.gather(minted(given, *words), minted(given, *words, "--superduper-admin"))
    async with one_process(given, *MEMORY) as house:
        assert await statuses(house.door, token) == [200, 403]
        assert await statuses(house.door, admin) == [200, 200]
        assert await statuses(house.door, "dev-token-dev-token-dev-token-dev") == [401, 401]
