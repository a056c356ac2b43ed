"""Start keys: where a page of a list begins, opaque to the caller.

Pure; used by the listener, which gives them out and gets them back.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from kazoo_tasks.model.errors import BadStartKey

#: The list of tasks, and the audit; neither takes the other's keys.
TASKS: Final = "s"
AUDIT: Final = "a"


def start_key(seq: int, of: str = TASKS) -> str:
    """The key of the page that begins with the task of this `seq`, or with an entry of this number.

    >>> start_key(1000)
    'czEwMDA'
    """
    return base64.urlsafe_b64encode(f"{of}{seq}".encode()).rstrip(b"=").decode()


def start_seq(key: str, of: str = TASKS) -> int:
    """The `seq`, or the number, behind a start key.

    >>> start_seq('czEwMDA')
    1000

    Raises:
        BadStartKey: No list gave this key.
    """
    try:
        text = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise BadStartKey from error
    if not (text.startswith(of) and text[1:].isdecimal()):
        raise BadStartKey
    return int(text[1:])
