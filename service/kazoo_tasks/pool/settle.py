"""Make a freshly forked process a child of the pool: its own session, mortal with the service, harmless to others.

Touches only the process it runs in; called by pool.child before anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import resource
import select
import signal
import sys
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import setproctitle

#: Under memory pressure the kernel takes a child before it takes the service, which holds the registry.
_OOM_SCORE_ADJ = "500"


def settle(slot: int) -> None:
    """Do all of it, in the order in which it matters."""
    os.setsid()
    _die_with_service()
    _reset_signals()
    _limit()
    _let_go_of_fork_server()
    _redirect()
    setproctitle.setproctitle(f"kazoo-tasks child {slot}")


def _die_with_service() -> None:
    """Have the kernel kill this process group when the service is gone, whatever the group is doing then.

    PR_SET_PDEATHSIG would watch the fork server instead, and a thread could not run while C code holds the GIL.
    """
    service = multiprocessing.parent_process()
    if service is None:
        message = "expected to be started by the pool's fork server, got no parent"
        raise RuntimeError(message)
    pipe = service.sentinel
    # A negative owner is a process group: what the task itself has started goes as well.
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    # The service may have gone before the signal was armed, and then no edge comes any more.
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
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
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ, encoding="ascii")


def _let_go_of_fork_server() -> None:
    """Close what keeps the fork server and the resource tracker alive; a task that needs them starts its own."""
    server, tracker = vars(forkserver)["_forkserver"], vars(resource_tracker)["_resource_tracker"]
    for fd in (vars(server)["_forkserver_alive_fd"], vars(tracker)["_fd"]):
        os.close(fd)
    vars(server).update(_forkserver_alive_fd=None, _forkserver_address=None)
    vars(tracker).update(_fd=None)


def _redirect() -> None:
    """Give tasks an empty input, and put what they print where the service logs."""
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # By line, since a child may be killed with a full buffer.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
