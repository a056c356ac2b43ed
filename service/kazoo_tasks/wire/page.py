"""Start keys: where a page of a list begins, opaque to the caller.

Pure; used by the listener, which gives them out and gets them back.
"""

from __future__ import annotations

import base64
import binascii

from kazoo_tasks.model.errors import BadStartKey


def start_key(seq: int) -> str:
    """The key of the page that begins with the task of this `seq`.

    >>> start_key(1000)
    'czEwMDA'
    """
    return base64.urlsafe_b64encode(f"s{seq}".encode()).rstrip(b"=").decode()


def start_seq(key: str) -> int:
    """The `seq` behind a start key.

    >>> start_seq('czEwMDA')
    1000

    Raises:
        BadStartKey: No list gave this key.
    """
    try:
        text = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise BadStartKey from error
    if not (text.startswith("s") and text[1:].isdecimal()):
        raise BadStartKey
    return int(text[1:])
