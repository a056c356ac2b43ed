"""Opaque tokens, known by the SHA-256 digests in a JSON file.

Touches that file; asked by the pipeline through `auth`, written by the operator's `token` commands.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kazoo_tasks.gateway.identity import Identity
from kazoo_tasks.gateway.watched_file import WatchedFile
from kazoo_tasks.model.errors import CannotStart, Corrupt
from kazoo_tasks.model.identity import is_account_id
from kazoo_tasks.wire.codec import decode, encode

_TOKEN_BYTES: Final = 32
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is kept of a token; the token itself is nowhere.

    Attributes:
        sha256: Hexadecimal.
        expires_at: Unix seconds, `None` for never.
        note: For the operator.
    """

    sha256: str
    account_id: str
    superduper_admin: bool = False
    expires_at: float | None = None
    note: str | None = None

    def to_json(self) -> dict[str, object]:
        """Its entry in the file; what does not apply is absent."""
        entry: dict[str, object] = {"sha256": self.sha256, "account_id": self.account_id}
        if self.superduper_admin:
            entry["superduper_admin"] = True
        if self.expires_at is not None:
            entry["expires_at"] = self.expires_at
        if self.note is not None:
            entry["note"] = self.note
        return entry


class TokenFile:
    """Tokens of a file that may change at any time; a bad version leaves the one before it in force."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        """Read the file.

        Raises:
            CannotStart: It cannot be read, or an entry is wrong; the message says which.
        """
        self._file = WatchedFile(path, _by_digest)
        self._now = now

    def identify(self, token: str) -> Identity | None:
        """See `Authenticator`."""
        digest = _digest(token)
        record = self._file.content().get(digest)
        if record is None or not hmac.compare_digest(record.sha256.encode(), digest.encode()):
            return None
        if record.expires_at is not None and record.expires_at <= self._now():
            return None
        return Identity(record.account_id, record.superduper_admin)


def mint_token(
    account_id: str,
    *,
    superduper_admin: bool = False,
    expires_at: float | None = None,
    note: str | None = None,
) -> tuple[str, TokenRecord]:
    """A new token, to be shown once, and what to keep of it."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return token, TokenRecord(_digest(token), account_id, superduper_admin, expires_at, note)


def add_token(path: Path, record: TokenRecord) -> None:
    """Add a token to the file, which is made if it is missing; afterwards only its owner can read it.

    Raises:
        CannotStart: The file cannot be read, understood or written; it is unchanged.
    """
    try:
        with _alone(path.parent):
            records = _records(path.read_bytes()) if path.exists() else []
            entries = [each.to_json() for each in (*records, record)]
            _replace(path, encode({"tokens": entries}) + b"\n")
    except OSError as error:
        raise CannotStart(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other operators' commands from losing what this one adds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, content: bytes) -> None:
    # mkstemp makes the file 0600 from the start; nobody sees half of it, nor loses it with the power.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        _give_to_owner(handle, path)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _give_to_owner(handle: int, path: Path) -> None:
    """Root makes tokens for a gateway that is another user, who must be able to read them."""
    if os.geteuid() == 0:
        owner = (path if path.exists() else path.parent).stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _by_digest(content: bytes) -> dict[str, TokenRecord]:
    return {record.sha256: record for record in _records(content)}


def _records(content: bytes) -> list[TokenRecord]:
    try:
        document = decode(content)
    except Corrupt as error:
        raise CannotStart(str(error)) from error
    tokens = document.get("tokens") if isinstance(document, dict) else None
    if not isinstance(tokens, list):
        raise CannotStart('expected {"tokens": [...]}')
    return [_record(entry, f"tokens[{place}]") for place, entry in enumerate(tokens)]


def _record(entry: object, where: str) -> TokenRecord:
    if not isinstance(entry, dict):
        raise CannotStart(f"expected {where} to be an object")
    sha256, account_id, expires_at = entry.get("sha256"), entry.get("account_id"), entry.get("expires_at")
    admin, note = entry.get("superduper_admin", False), entry.get("note")
    if not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256)):
        raise CannotStart(f"expected {where}.sha256 to be 64 lower-case hex characters")
    if not (isinstance(account_id, str) and is_account_id(account_id)):
        raise CannotStart(
            f"expected {where}.account_id to be 32 lower-case hex characters, got {account_id!r}"
        )
    if not isinstance(admin, bool):
        raise CannotStart(f"expected {where}.superduper_admin to be true or false, got {admin!r}")
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float | None):
        raise CannotStart(f"expected {where}.expires_at to be unix seconds, got {expires_at!r}")
    if not isinstance(note, str | None):
        raise CannotStart(f"expected {where}.note to be text, got {note!r}")
    return TokenRecord(sha256, account_id, admin, expires_at, note)
