"""The live stack of a run, from outside: asked for by signals and read from a pipe.

Touches a child's process and pipe; used by pool.slot.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from typing import Final

from kazoo_tasks.pool.call import OURS
from kazoo_tasks.pool.fork_client import Child
from kazoo_tasks.pool.stack import COROUTINES, MAX_BYTES, THREADS

#: How long a child may take to say where it is, and how long it goes on to say so.
_ANSWER_S: Final = 1.0
_REST_S: Final = 0.02
#: How the fork server was begun: below all frames of ours.
_BOTTOM: Final = '  File "<string>", line 1 in <module>'
_FRAME: Final = re.compile(r'^  File "([^"]*)", line \d+')


async def ask_for_stack(loop: asyncio.AbstractEventLoop, child: Child) -> str:
    """The stack of each thread and coroutine of a child; empty if it does not answer, since it blocks signals."""
    # A descriptor of our own: the child may be gone meanwhile, and its descriptors another's.
    fd = os.dup(child.stacks_fd)
    answered = asyncio.Event()
    try:
        _drained(fd)
        loop.add_reader(fd, answered.set)
        for number in (THREADS, COROUTINES):
            signal.pidfd_send_signal(child.pidfd, number)
        async with asyncio.timeout(_ANSWER_S):
            await answered.wait()
            # It is written in pieces, and nothing says which is the last.
            await asyncio.sleep(_REST_S)
        return _of_the_task(_drained(fd))
    except (TimeoutError, ProcessLookupError):
        return ""
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _drained(fd: int) -> bytes:
    """What has been written into the pipe until now."""
    parts = []
    try:
        while part := os.read(fd, MAX_BYTES):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)


def _of_the_task(text: bytes) -> str:
    """A stack without the frames of this room, which are the same under every task."""
    kept, leave_out = [], False
    for line in text.decode(errors="backslashreplace").splitlines():
        frame = _FRAME.match(line)
        if frame is not None:
            leave_out = frame[1].startswith(OURS) or (leave_out and line == _BOTTOM)
        elif not line.startswith("    "):
            leave_out = False
        if not leave_out:
            kept.append(line)
    return "\n".join(kept)
