"""The shapes of identifiers, and new ones from random bytes.

Pure; the random bytes are the caller's to give.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

#: The random part of an id.
TASK_ID_BYTES: Final = 10
_SEQ_BYTES: Final = 5
_SEQS: Final = 2 ** (8 * _SEQ_BYTES)
ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{32}")
TASK_ID: Final = re.compile(r"[0-9a-f]{30}")


def task_id(random_bytes: bytes, seq: int) -> str:
    """A task's id: 30 lower-case hex characters, as Kazoo's tasks have.

    Its end tells the task's `seq`, veiled by its beginning: so what was said of a task by its `seq` is found by its id
    when the task is gone. Tasks that are added together have the same random bytes.

    >>> task_id(bytes(range(10)), seq=1)
    '00010203040506070809549e919d59'
    """
    if len(random_bytes) != TASK_ID_BYTES:
        message = f"expected random_bytes to be {TASK_ID_BYTES} bytes, got {len(random_bytes)}"
        raise ValueError(message)
    veiled = (seq % _SEQS) ^ _veil(random_bytes)
    return random_bytes.hex() + veiled.to_bytes(_SEQ_BYTES).hex()


def seq_of(id_: str) -> int:
    """The `seq` that an id tells; of one that no task of this release has some number, and always the same.

    >>> seq_of('00010203040506070809549e919d59')
    1
    """
    whole = bytes.fromhex(id_)
    return int.from_bytes(whole[TASK_ID_BYTES:]) ^ _veil(whole[:TASK_ID_BYTES])


def are_added_together(one: str, other: str) -> bool:
    """Whether two ids have the same random bytes."""
    return one[: 2 * TASK_ID_BYTES] == other[: 2 * TASK_ID_BYTES]


def is_account_id(text: str) -> bool:
    """Whether a text is 32 lower-case hex characters."""
    return ACCOUNT_ID.fullmatch(text) is not None


# Tasks that are added together ask for the same one.
@lru_cache(maxsize=16)
def _veil(random_bytes: bytes) -> int:
    return int.from_bytes(blake2b(random_bytes, digest_size=_SEQ_BYTES).digest())
