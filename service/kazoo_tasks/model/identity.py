"""The shapes of identifiers, and new ones from random bytes.

Pure; the random bytes are the caller's to give.
"""

import re
from typing import Final

TASK_ID_BYTES: Final = 15
ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{32}")
TASK_ID: Final = re.compile(r"[0-9a-f]{30}")


def task_id(random_bytes: bytes) -> str:
    """A task's id: 30 lower-case hex characters, as Kazoo's tasks have.

    >>> task_id(bytes(range(15)))
    '000102030405060708090a0b0c0d0e'
    """
    if len(random_bytes) != TASK_ID_BYTES:
        message = f"expected random_bytes to be {TASK_ID_BYTES} bytes, got {len(random_bytes)}"
        raise ValueError(message)
    return random_bytes.hex()


def is_account_id(text: str) -> bool:
    """Whether a text is 32 lower-case hex characters."""
    return ACCOUNT_ID.fullmatch(text) is not None
