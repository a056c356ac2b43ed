"""The process that children are forked from: it has imported the task modules, and tells how each child ended.

Touches processes and one socket; started by pool.fork_client. It has one thread and carries as little as can be, since
everything in it is in every child.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from typing import Final, NoReturn

import setproctitle

from kazoo_tasks.pool import child
from kazoo_tasks.pool.cgroup import ChildGroups, delegated
from kazoo_tasks.pool.child import Brief, Ends
from kazoo_tasks.pool.descendants import adopt_orphans, children, end_children
from kazoo_tasks.pool.said import LogHandler, take_over_logging
from kazoo_tasks.pool.settle import die_with_service

#: What a status pipe carries: the child's process id, and once it is dead its exit code, negative for a signal.
NUMBER: Final = struct.Struct(">q")
MAX_MESSAGE: Final = 64 * 1024
#: What comes with a brief: those of `Ends`, in its order, and the pipe for the child's status.
DESCRIPTORS: Final = 8
#: How long what a dead child left behind may take to die, before others wait no longer.
_SWEEP_S: Final = 1.0
#: The same when the service is gone, and nobody waits.
_LAST_SWEEP_S: Final = 10.0


def main(control: int, lifeline: int) -> NoReturn:
    """Import what the first message names, then fork a child for each that follows, until the service hangs up.

    Args:
        control: A connected SOCK_SEQPACKET socket.
        lifeline: The end of a pipe, to die when nobody holds the other one, even if an import never ends.
    """
    die_with_service(lifeline, os.getpid())
    setproctitle.setproctitle("kazoo-tasks fork server")
    # The service's terminal is not ours to obey: the service ends us when it has ended the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    briefs = socket.socket(fileno=control)
    # Before the task modules, which may set up a log of their own.
    log_handler = take_over_logging()
    _preload(json.loads(briefs.recv(MAX_MESSAGE)))
    adopt_orphans()
    # From here on we can see for ourselves that the service is gone, if we are not stopped; there is something to do
    # then.
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGCONT)
    ForkServer(briefs, lifeline, log_handler).run()
    # No thread that a task module left behind can hold the exit.
    os._exit(0)


class ForkServer:
    """Forks, reaps what it has forked, and ends what that leaves behind."""

    def __init__(self, control: socket.socket, lifeline: int, log_handler: LogHandler) -> None:
        """Take the socket over which briefs come, what children must not keep, and what tells their log."""
        self._control = control
        self._lifeline = lifeline
        self._log_handler = log_handler
        self._statuses: dict[int, int] = {}
        #: What the task modules started when they were imported.
        self._helpers = children()
        self._groups = ChildGroups(delegated())
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)

    def run(self) -> None:
        """Serve until the other end is closed; then end all that is left."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker)
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._woken, select.POLLIN)
        poller.register(self._lifeline, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self._woken in ready:
                os.read(self._woken, MAX_MESSAGE)
                self._reap()
            if self._lifeline in ready or (self._control.fileno() in ready and not self._serve()):
                break
        self._groups.close()
        end_children(_LAST_SWEEP_S)
        self._groups.close()

    def _serve(self) -> bool:
        """Take one brief and fork for it; tell whether there was one."""
        # What a task starts by `exec` must not hold them.
        flags = socket.MSG_CMSG_CLOEXEC
        told, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE, DESCRIPTORS, flags)
        if not told:
            return False
        *theirs, status = descriptors
        try:
            pid = os.fork()
        except OSError:
            # Told by a status pipe that ends without a word.
            os.close(status)
        else:
            if not pid:
                self._become_child(Brief(*json.loads(told)), theirs, status)
            self._statuses[pid] = status
            _tell(status, pid)
        for fd in theirs:
            os.close(fd)
        # It may take the place of a child that lost its fork server, whose death nobody here was told of.
        self._groups.tidy()
        return True

    def _reap(self) -> None:
        dead = dict(_reaped())
        for pid in dead.keys() & self._statuses.keys():
            self._groups.end(pid)
        # A living child has those that it started below itself, so what is ours and no child is of a dead one.
        end_children(_SWEEP_S, keep=self._statuses.keys() - dead.keys() | self._helpers)
        self._groups.tidy()
        for pid, status in dead.items():
            pipe = self._statuses.pop(pid, None)
            if pipe is not None:
                _tell(pipe, status)
                os.close(pipe)

    def _become_child(self, brief: Brief, theirs: list[int], status: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A sibling that held one of these would hide the end of whoever is at the other end.
            self._control.close()
            self._groups.enter()
            for fd in (self._lifeline, self._woken, self._waker, status, *self._statuses.values()):
                os.close(fd)
            sockets, pipes = theirs[:3], theirs[3:]
            connection, tickets, records = (socket.socket(fileno=fd) for fd in sockets)
            child.main(Ends(connection, tickets, records, *pipes), brief, self._log_handler)
        except BaseException:  # noqa: BLE001 - told; nothing may return into the server's loop
            traceback.print_exc()
        finally:
            os._exit(1)


def _preload(modules: list[str]) -> None:
    for module in modules:
        # What is wrong with it is for the children to say, who are asked.
        with contextlib.suppress(BaseException):
            child.runnables(module)
    for stream in (sys.stdout, sys.stderr):
        # What a module printed would be printed by each child again; it may also have put something else there.
        with contextlib.suppress(Exception):
            stream.flush()
    # A collection in a child would write to all that it shares with the others.
    gc.collect()
    gc.freeze()


def _reaped() -> Iterator[tuple[int, int]]:
    """Process ids and exit codes of the children that are dead by now."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the service has let go of the child
        os.write(pipe, NUMBER.pack(number))
