"""Where children come from: one fork server that has imported the task modules, used by one pool.

The only place that starts processes, through multiprocessing; its calls block, so pool.supervisor makes them in a
thread of their own.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import context, forkserver, popen_forkserver, reduction, resource_tracker, spawn
from multiprocessing.process import BaseProcess

from kazoo_tasks.pool import child
from kazoo_tasks.pool.child import Brief
from kazoo_tasks.pool.line import Tickets

_TRACKER_END_MS = 1000
_STATUS = forkserver.SIGNED_STRUCT


@dataclass(eq=False, slots=True)
class Child:
    """A process of the pool, seen from outside.

    Attributes:
        pidfd: Readable once it is dead; valid however often the number is used again.
        status_fd: Readable once the fork server has said how it ended, or is gone itself.
        lifeline: The end of a pipe; the kernel kills the child's group when nobody holds it any more.
    """

    pid: int
    pidfd: int
    status_fd: int
    lifeline: int
    connection: socket.socket
    tickets: Tickets

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the child and whatever it started; nothing happens to those that are gone."""
        try:
            # After the child's death the group is what it left behind.
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # Or there is no group yet, before the child's `setsid`.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def is_dead(self) -> bool:
        """Ask the kernel, not the fork server."""
        return bool(_readable(self.pidfd, 0))

    def read_status(self) -> int | None:
        """Give the exit code, negative for a signal, or `None` if the fork server died before it could tell."""
        said = os.read(self.status_fd, _STATUS.size)
        return int(_STATUS.unpack(said)[0]) if len(said) == _STATUS.size else None

    def let_go(self) -> None:
        """Close everything that leads to it; if it still lives, that ends it."""
        self.connection.close()
        self.tickets.close()
        for fd in (self.pidfd, self.status_fd, self.lifeline):
            os.close(fd)


class _Launch(popen_forkserver.Popen):
    """One start of a process. Unlike its base it uses the pool's own fork server and says nothing of `__main__`.

    `multiprocessing.Process.start` would have the child import the service's main module with all it needs, would
    end the service's exit with a join of every child, and cannot tell exit code 255 from a dead fork server.
    """

    def __init__(self, process: BaseProcess, connect: Callable[[list[int]], tuple[int, int]]) -> None:
        self._connect = connect
        self.lifeline = -1
        super().__init__(process)

    def _launch(self, process: BaseProcess) -> None:
        told = self._told(process)
        self.sentinel, self.lifeline = self._connect(vars(self)["_fds"])
        try:
            _write_all(self.lifeline, told)
            self.pid = forkserver.read_signed(self.sentinel)
        except BaseException:
            self._abandon()
            raise

    def pidfd(self) -> int:
        """Hold on to the process.

        Raises:
            OSError: It is dead and reaped already.
        """
        try:
            return os.pidfd_open(self.pid)
        except OSError:
            self._abandon()
            raise

    def _abandon(self) -> None:
        # Without its lifeline a child that was born after all dies at once.
        os.close(self.sentinel)
        os.close(self.lifeline)

    def _told(self, process: BaseProcess) -> memoryview:
        told = io.BytesIO()
        preparation = spawn.get_preparation_data(process.name)
        context.set_spawning_popen(self)
        try:
            reduction.dump({k: v for k, v in preparation.items() if not k.startswith("init_main")}, told)
            reduction.dump(process, told)
        finally:
            context.set_spawning_popen(None)
        return told.getbuffer()


class Nursery:
    """A fork server of its own, started with the first child and again whenever it has died."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        """Start nothing yet."""
        self._modules = modules
        self._server = self._make_server(modules)
        self._closed = self._proven = False
        self._tracker_is_ours = vars(vars(resource_tracker)["_resource_tracker"])["_fd"] is None

    def fork(self, brief: Brief) -> Child:
        """Start a child.

        Raises:
            OSError, EOFError: There is no fork server to be had, or it cannot fork.
        """
        # A server that was killed a moment ago is noticed only by the first try.
        with contextlib.suppress(OSError, EOFError):
            return self._try_fork(brief)
        try:
            return self._try_fork(brief)
        except (OSError, EOFError):
            if self._proven:
                raise
        # It dies of a module's import, of which multiprocessing forgives only ImportError: the next leaves the
        # imports to the children, which can say what is wrong.
        self._kill_server()
        self._server = self._make_server(())
        return self._try_fork(brief)

    def hang_up(self) -> None:
        """Fork no more, and have a fork that is under way in another thread fail at once."""
        self._closed = True
        self._kill_server()

    def close(self) -> None:
        """End the fork server, and the resource tracker that multiprocessing started beside it.

        To be called when no child is left whose end the server must still tell, and no fork is under way.
        """
        self.hang_up()
        if self._tracker_is_ours:
            _end_tracker()

    def _kill_server(self) -> None:
        pid = vars(self._server)["_forkserver_pid"]
        if pid is None:
            return
        # Killed rather than asked, since it has nothing to tidy up and may be stopped or stuck.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError, FileNotFoundError):
            self._server._stop()  # type: ignore[attr-defined]  # noqa: SLF001 - no public way to reap it

    def _make_server(self, modules: tuple[str, ...]) -> forkserver.ForkServer:
        server = forkserver.ForkServer()
        server.set_forkserver_preload([child.__name__, *modules])
        return server

    def _try_fork(self, brief: Brief) -> Child:
        if self._closed:
            raise EOFError
        ours, theirs = socket.socketpair()
        tickets = Tickets()
        try:
            process = multiprocessing.get_context("forkserver").Process(
                target=child.main, args=(theirs, tickets.taker, brief)
            )
            launch = _Launch(process, self._server.connect_to_new_process)
            pidfd = launch.pidfd()
        except BaseException:
            ours.close()
            tickets.close()
            raise
        finally:
            theirs.close()
        self._proven = True
        ours.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        return Child(launch.pid, pidfd, launch.sentinel, launch.lifeline, ours, tickets)


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _readable(fd: int, timeout_ms: int) -> list[tuple[int, int]]:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return poller.poll(timeout_ms)


def _end_tracker() -> None:
    """Hang up on the tracker and reap it.

    Its own `_stop` waits without a limit, for ever if another fork server of this process still holds the pipe.
    """
    tracker = vars(vars(resource_tracker)["_resource_tracker"])
    fd, pid = tracker["_fd"], tracker["_pid"]
    if fd is None or pid is None:
        return
    tracker.update(_fd=None, _pid=None)
    os.close(fd)
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        _readable(pidfd, _TRACKER_END_MS)
        os.close(pidfd)
        os.waitpid(pid, os.WNOHANG)
