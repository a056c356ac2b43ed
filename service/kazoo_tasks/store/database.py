"""Open the journal's file the one right way, and say what is wrong with it.

Touches SQLite; used by the file and by what the operator does with snapshots.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.store.directory import create_private
from kazoo_tasks.store.mending import Mending
from kazoo_tasks.store.statement import SCHEMA, SQL

APPLICATION_ID: Final = 0x6B617A74
BUSY_TIMEOUT_S: Final = 5
#: Room for every count of rows that a statement is made for.
CACHED_STATEMENTS: Final = 384

#: What SQLite says about the surroundings; anything else that it says about a file is about the file.
_SURROUNDINGS: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_PRAGMAS: Final = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit is on the disk when it returns
    "mmap_size": 0,  # an I/O error must be an error, not a SIGBUS
    "foreign_keys": 0,
    "trusted_schema": 0,
    "wal_autocheckpoint": 250,
}


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room: SQLite took the transaction back, and the next may succeed."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    # The index of the WAL lives in a file of its own, which grows before anything is written to the WAL.
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def reason(error: sqlite3.Error) -> str:
    """What SQLite says, but for a lack of room that it calls an I/O error."""
    return "database or disk is full" if is_full(error) else str(error)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is bad, rather than what is around it."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _SURROUNDINGS


def connect(path: Path) -> sqlite3.Connection:
    """The connection, for this thread only; there must be no second one to the same file.

    (SQLite before 3.51.3 can damage a WAL that two connections write or checkpoint.)

    Raises:
        CannotStart: A setting that durability rests on is not taken.
    """
    create_private(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, cached_statements=CACHED_STATEMENTS
    )
    try:
        _apply_pragmas(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody writes; leaves no side files, works on read-only media."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def pragma(connection: sqlite3.Connection, name: str) -> int | str:
    """The value of a pragma."""
    row = connection.execute(f"PRAGMA {name}").fetchone()
    value: int | str = row[0]
    return value


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever written to it."""
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return not tables and pragma(connection, "application_id") == 0


def identify(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of one of our files.

    Raises:
        CannotStart: It is not ours, or of a newer release.
    """
    application = pragma(connection, "application_id")
    if application != APPLICATION_ID:
        message = f"expected {path} to be a journal of kazoo-tasks, got a file with the application id {application}"
        raise CannotStart(message)
    version = int(pragma(connection, "user_version"))
    if version > SCHEMA:
        limit = f"expected the schema of {path} to be at most version {SCHEMA}"
        raise CannotStart(f"{limit}, got {version}: a newer release wrote it")
    return version


def upgrade(connection: sqlite3.Connection, version: int, to: int | None = None) -> int:
    """Bring the schema to another version, the newest if none is said, all steps or none; there is no way back.

    Returns:
        How many texts were mended.

    Raises:
        sqlite3.Error: A step failed; the file is as it was.
    """
    newest = SCHEMA if to is None else to
    steps = [SQL[f"schema_{step}"] for step in range(version + 1, newest + 1)]
    # On lines of their own: a step may end with a comment.
    script = "\n;\n".join(["BEGIN IMMEDIATE", *steps, f"PRAGMA user_version = {newest}", "COMMIT"])
    mending = Mending()
    connection.create_function("mended", 1, mending.mended, deterministic=True)
    try:
        connection.executescript(script)
    except sqlite3.Error:
        take_back(connection)
        raise
    return len(mending.broken)


def take_back(connection: sqlite3.Connection) -> None:
    """End a transaction that failed, unless SQLite has taken it back by itself, as it does after most errors."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def check(connection: sqlite3.Connection) -> None:
    """Read every page.

    Raises:
        sqlite3.DatabaseError: Something does not hold together.
    """
    first = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if first != "ok":
        raise sqlite3.DatabaseError(" ".join(first.split()))


def _apply_pragmas(connection: sqlite3.Connection, path: Path) -> None:
    for name, wanted in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {wanted}").fetchall()
        # Read back: SQLite ignores what it does not know or cannot do, and mmap_size has no value where it is left out.
        got = connection.execute(f"PRAGMA {name}").fetchone()
        if got not in {(wanted,), None}:
            message = f"expected {name} of {path} to be {wanted}, got {got[0]}"
            raise CannotStart(message)
