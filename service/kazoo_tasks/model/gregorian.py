"""Time as Kazoo counts it: whole seconds since the year 0, UTC.

Pure arithmetic; used wherever an instant is stored or sent.
"""

from typing import Final

#: Gregorian seconds of 1970-01-01T00:00:00Z.
UNIX_EPOCH: Final = 62_167_219_200


def from_unix(seconds: float) -> int:
    """Gregorian seconds of a Unix time.

    >>> from_unix(1464105661)
    63631324861
    """
    return int(seconds) + UNIX_EPOCH


def to_unix(gregorian: int) -> int:
    """Unix time of Gregorian seconds.

    >>> to_unix(63631324861)
    1464105661
    """
    return gregorian - UNIX_EPOCH
