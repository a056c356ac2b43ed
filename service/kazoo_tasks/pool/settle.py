"""Make a freshly forked process a child of the pool: its own session, mortal with the service, harmless to others.

Touches only the process it runs in; called by pool.child before anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import sys

import setproctitle

#: Under memory pressure the kernel takes a child before it takes the service, which holds the registry.
_OOM_SCORE_ADJ = b"500"


def settle(slot: int, lifeline: int, stdout: int, stderr: int) -> None:
    """Do all of it, in the order in which it matters."""
    os.setsid()
    # The whole group: what the task itself has started goes as well.
    die_with_service(lifeline, -os.getpgrp())
    _reset_signals()
    _limit()
    _redirect(stdout, stderr)
    setproctitle.setproctitle(f"kazoo-tasks child {slot}")


def die_with_service(lifeline: int, whom: int) -> None:
    """Have the kernel kill a process, or a group by its negative number, when the service is gone, whatever they do.

    PR_SET_PDEATHSIG would watch a child's fork server instead, and the thread that forked that; and a thread of ours
    could not run while C code holds the GIL.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, whom)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    # The service may have gone before the signal was armed, and then no edge comes any more.
    poller = select.poll()
    poller.register(lifeline, select.POLLIN)
    if poller.poll(0):
        os.kill(os.getpid(), signal.SIGKILL)


def _reset_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Not every sandbox has /proc writable; without it only the kernel's choice under memory pressure is worse.
    with contextlib.suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, _OOM_SCORE_ADJ)
        os.close(score)


def _redirect(stdout: int, stderr: int) -> None:
    """Give tasks an empty input, and an output that is this child's alone: nothing here is the service's."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for descriptor, place in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    # By line, since a child may be killed with a full buffer.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
