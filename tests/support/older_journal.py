"""A journal with what the release before took in, and this one would not: no honest sender's, and real all the same.

Touches the file that it is given; used by the tests of the upgrade.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from support.build import ACCOUNT

#: A dump: pending, waiting, running, succeeded and failed tasks, answers, no clean stop.
_WRITTEN: Final = Path(__file__).parents[1] / "integration" / "journal_1.sql"
_T: Final = 63_962_740_700
_DEEP: Final = b"[" * 260 + b"]" * 260


class Row(NamedTuple):
    """A task in it."""

    id: str
    arguments: bytes = b"[1]"
    started_at: int | None = _T
    ended_at: int | None = _T
    result: bytes | None = None
    progress: bytes | None = None


#: By what is wrong with it.
BROKEN: Final = {
    "a result beyond floats": Row("b0" * 15, result=b"1e400"),
    "a result beyond 64 bits": Row("b1" * 15, result=b"1" + b"0" * 400),
    "a result nested 260 deep": Row("b2" * 15, result=_DEEP),
    "half a pair": Row("b3" * 15, result=b'"\\ud800"', progress=b'{"done":1,"note":"\\udfff"}'),
    "progress beyond floats": Row("b4" * 15, ended_at=None, progress=b'{"done":1e400}'),
    "arguments beyond floats, waiting": Row("b5" * 15, b"[1e400]", ended_at=None),
    "arguments nested 260 deep, pending": Row("b6" * 15, _DEEP, None, None),
    "arguments beyond 64 bits, over": Row("b7" * 15, b"[18446744073709551616]", result=b"true"),
    "a million values": Row("b8" * 15, json.dumps([0] * 1_000_000).encode(), result=b"true"),
}
#: Those that cannot be run any more.
ENDED: Final = {"arguments beyond floats, waiting", "arguments nested 260 deep, pending"}


def rebuilt(path: Path) -> None:
    """Make a file of the text that is kept."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_WRITTEN.read_text("utf-8"))


def break_journal(path: Path) -> None:
    """Add them to a file of schema 1."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for seq, row in enumerate(BROKEN.values(), start=100):
            connection.execute(
                "INSERT INTO task VALUES (?, ?, ?, 'timer', 'sleep', ?, ?, ?, ?, 0, 0, 0, NULL, ?, ?)",
                (
                    seq,
                    row.id,
                    ACCOUNT,
                    row.arguments,
                    _T,
                    row.started_at,
                    row.ended_at,
                    row.result,
                    row.progress,
                ),
            )
