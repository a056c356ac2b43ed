"""A task module that ends the service with SIGKILL as soon as it reads a certain word, as the kernel may for memory.

Imported by the service and its children.
"""

import os
import signal

from kazoo_tasks import task
from kazoo_tasks.listener import listener
from kazoo_tasks.wire.codec import parsed_object

WORD = "a word that nobody survives"


@task
def nothing(word: str) -> str:
    """Do nothing."""
    return word


def _parsed_object(text: bytes) -> dict[str, object]:
    if WORD.encode() in text:
        os.kill(os.getpid(), signal.SIGKILL)
    return parsed_object(text)


if "DEADLY_MESSAGE" in os.environ:
    listener.parsed_object = _parsed_object  # type: ignore[attr-defined]  # what it imports
