"""The SQL of `journal.sql` by name.

Reads that one file, once; used by whoever talks to SQLite.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """The blocks of a file that are headed `-- name: xxx`."""
    _, *parts = _NAME.split(text)
    return {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}


SQL: Final = parse(resources.files(__package__).joinpath("journal.sql").read_text("utf-8"))
#: The newest schema this release knows: it climbs through `schema_1`, `schema_2`, … in order.
SCHEMA: Final = sum(name.startswith("schema_") for name in SQL)


@cache
def for_rows(name: str, width: int, count: int) -> str:
    """A statement with room for `count` rows of `width` values.

    One call for many rows: the interpreter lock is let go and won back once for each call, which costs a busy process
    far more than the row (measured: 1000 rows one by one 80 ms beside a busy thread, in rows of 64 13 ms).
    """
    row = f"({','.join('?' * width)})"
    return SQL[name].replace(":rows", ",".join([row] * count))
