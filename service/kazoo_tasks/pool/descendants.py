"""What a process has started and left behind, however far that has moved away: found, killed and reaped.

Touches processes; used by a child between its runs, and by the fork server for a child that is dead.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Collection
from typing import Final

from kazoo_tasks.pool.proc import children_of

_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """Have what loses its parent below this process become its child, rather than init's.

    A process that a double fork and `setsid` take out of every group is still below us, and so can be found.

    Raises:
        OSError: The system cannot do it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def children() -> frozenset[int]:
    """The process ids of this process's children, of those that are dead and not reaped, too."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        # The usual case, and a hundred times as fast as to look into files.
        return frozenset()
    return frozenset(children_of(os.getpid()))


def end_children(within_s: float, keep: Collection[int] = ()) -> bool:
    """Kill and reap this process's children but for some, and what becomes its child by that, until none is left.

    Only children are killed, since no other process may have got the number of one that is not reaped.

    Returns:
        Whether none is left; what forks faster than it is killed, or cannot die, may be.
    """
    deadline = time.monotonic() + within_s
    while strays := children().difference(keep):
        for pid in strays:
            os.kill(pid, signal.SIGKILL)
        # Each of them is looked at: what is dead is reaped, whatever the others do.
        if sum(_is_reaped(pid, deadline) for pid in strays) < len(strays):
            return False
    return True


def _is_reaped(pid: int, deadline: float) -> bool:
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    is_dead = bool(poller.poll(max(0, deadline - time.monotonic()) * 1000))
    os.close(pidfd)
    if is_dead:
        os.waitpid(pid, 0)
    return is_dead
