"""A client of the fork server, which has imported the task modules: children come from here, for one pool.

The only place that starts processes; its calls block, so pool.supervisor makes them in a thread of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from kazoo_tasks.pool import fork_server
from kazoo_tasks.pool.cgroup import remove_groups_of
from kazoo_tasks.pool.child import Brief
from kazoo_tasks.pool.fork_server import NUMBER
from kazoo_tasks.pool.in_flight import Tickets

#: A server that was killed closes its pipes a moment before it counts as dead.
_DEATH_S = 0.1
#: How long it may take to end what is left.
_END_S = 5.0


@dataclass(eq=False, slots=True)
class Child:
    """A process of the pool, seen from outside.

    Attributes:
        pidfd: Readable once it is dead; valid however often the number is used again.
        status_fd: Readable once the fork server has said how it ended, or is gone itself.
        lifeline: The end of a pipe; the kernel kills the child's group when nobody holds it any more.
        stdout_fd, stderr_fd: What the child prints, to be read without waiting.
        records: What it logs, message by message, and is answered once all is read.
        stacks_fd: Where it writes its stack when it is asked to, to be read without waiting.
    """

    pid: int
    pidfd: int
    status_fd: int
    lifeline: int
    stdout_fd: int
    stderr_fd: int
    stacks_fd: int
    connection: socket.socket
    records: socket.socket
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
        return _read_number(self.status_fd)

    def let_go(self) -> None:
        """Close everything that leads to it; if it still lives, that ends it."""
        self.connection.close()
        self.records.close()
        self.tickets.close()
        pipes = (self.status_fd, self.lifeline, self.stdout_fd, self.stderr_fd, self.stacks_fd)
        for fd in (self.pidfd, *pipes):
            os.close(fd)


class _Server:
    """A running fork server.

    Attributes:
        output_fd: What it prints, which is what task modules print when they are imported; to be read without waiting.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        their_lifeline, self._lifeline = os.pipe()
        self.output_fd, their_output = os.pipe()
        os.set_blocking(self.output_fd, False)
        theirs = [their_control.fileno(), their_lifeline]
        try:
            # It finds what we find, and so do the children.
            find = f"import sys; sys.path[:] = {sys.path!r}"
            run = f"from {fork_server.__name__} import main; main(*{theirs})"
            # None of its descriptors is ours: what a task does to one, such as O_NONBLOCK, it would do to us.
            self._process = subprocess.Popen(  # noqa: S603 - nothing in it comes from outside
                [sys.executable, "-c", f"{find}; {run}"],
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                pass_fds=theirs,
            )
        except BaseException:
            self.close()
            raise
        finally:
            their_control.close()
            os.close(their_lifeline)
            os.close(their_output)
        self._control.send(json.dumps(modules).encode())

    @property
    def is_dead(self) -> bool:
        return self._process.poll() is not None

    def fork(self, brief: Brief, descriptors: list[int]) -> None:
        socket.send_fds(self._control, [json.dumps(brief).encode()], descriptors)

    def await_death(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DEATH_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._control.close()
        # If it is stopped, it goes on by this.
        os.close(self._lifeline)

    def end(self) -> None:
        self.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.returncode < 0:
            remove_groups_of(self._process.pid)


class ForkServerClient:
    """A fork server of its own, started with the first child and again whenever it has died."""

    def __init__(self, modules: tuple[str, ...], read_output: Callable[[int], None]) -> None:
        """Start nothing yet; `read_output` is given the descriptor of what a server prints, which is its to close."""
        self._modules = modules
        self._read_output = read_output
        self._server: _Server | None = None
        self._closed = self._proven = False

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
        # It dies of a module's import: the next leaves the imports to the children, which can say what is wrong.
        self._modules = ()
        return self._try_fork(brief)

    def hang_up(self) -> None:
        """Fork no more, and have a fork that is under way in another thread fail at once."""
        self._closed = True
        if self._server is not None:
            self._server.kill()

    def close(self) -> None:
        """End the fork server.

        To be called when no child is left whose end the server must still tell, and no fork is under way.
        """
        self._closed = True
        if self._server is not None:
            self._server.end()

    def _running_server(self) -> _Server:
        if self._server is not None and self._server.is_dead:
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = _Server(self._modules)
            self._read_output(self._server.output_fd)
        return self._server

    def _try_fork(self, brief: Brief) -> Child:
        server = self._running_server()
        if self._closed:
            # Seen only now, so that a server that was started meanwhile is ended as well.
            server.kill()
            raise EOFError
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            connection, their_connection = _sockets(ours, theirs, socket.SOCK_STREAM)
            records, their_records = _sockets(ours, theirs, socket.SOCK_SEQPACKET)
            tickets = Tickets()
            ours.callback(tickets.close)
            status, their_status = _pipe(ours, theirs)
            their_lifeline, lifeline = _pipe(theirs, ours)
            stdout, their_stdout = _pipe(ours, theirs)
            stderr, their_stderr = _pipe(ours, theirs)
            stacks, their_stacks = _pipe(ours, theirs)
            their_sockets = [each.fileno() for each in (their_connection, tickets.taker, their_records)]
            their_pipes = [their_lifeline, their_stdout, their_stderr, their_stacks]
            server.fork(brief, [*their_sockets, *their_pipes, their_status])
            theirs.close()
            pid = _read_number(status)
            if pid is None:
                server.await_death()
                raise EOFError
            pidfd = os.pidfd_open(pid)
            ours.pop_all()
        self._proven = True
        for fd in (connection.fileno(), records.fileno(), stdout, stderr, stacks):
            os.set_blocking(fd, False)
        pipes = (status, lifeline, stdout, stderr, stacks)
        return Child(pid, pidfd, *pipes, connection, records, tickets)


def _sockets(
    ours: contextlib.ExitStack, theirs: contextlib.ExitStack, kind: socket.SocketKind
) -> tuple[socket.socket, socket.socket]:
    """A connected pair, each end closed with those of its side."""
    here, there = socket.socketpair(socket.AF_UNIX, kind)
    return ours.enter_context(here), theirs.enter_context(there)


def _pipe(readers: contextlib.ExitStack, writers: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, each end closed with those of its side."""
    reading, writing = os.pipe()
    readers.callback(os.close, reading)
    writers.callback(os.close, writing)
    return reading, writing


def _read_number(pipe: int) -> int | None:
    said = os.read(pipe, NUMBER.size)
    return int(NUMBER.unpack(said)[0]) if len(said) == NUMBER.size else None


def _readable(fd: int, timeout_ms: int) -> list[tuple[int, int]]:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return poller.poll(timeout_ms)
