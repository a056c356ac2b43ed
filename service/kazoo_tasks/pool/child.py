"""The child process: import the task modules that it was told of, then run one request after the other.

Touches its connection and the task modules; forked by pool.fork_server and carries nothing else of the service.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from kazoo_tasks.authoring import OFFER_ATTRIBUTE, Offer, running
from kazoo_tasks.conversion import converter
from kazoo_tasks.pool.call import Function, Runnable, call, failed
from kazoo_tasks.pool.channel import Channel
from kazoo_tasks.pool.descendants import adopt_orphans
from kazoo_tasks.pool.frame import Frame, Kind, Request, tag
from kazoo_tasks.pool.process_state import ProcessState
from kazoo_tasks.pool.run import Run, Stops, limits_of, runner, set_limits
from kazoo_tasks.pool.said import LogHandler, Said
from kazoo_tasks.pool.settle import settle
from kazoo_tasks.pool.stack import write_stacks


class Offered(NamedTuple):
    """A function that a task module offers."""

    runnable: Runnable
    offer: Offer


Functions = dict[tuple[str, str], Offered]


class Brief(NamedTuple):
    """What a child must know.

    Attributes:
        slot: The number of its slot.
        modules: Dotted paths of the task modules: all that it will ever import or call.
    """

    slot: int
    modules: tuple[str, ...]
    max_result_bytes: int


class Ends(NamedTuple):
    """The child's ends of what joins it to the service.

    Attributes:
        connection: Requests come over it and answers go.
        tickets: See pool.in_flight.
        records: See pool.said.
        lifeline: The end of a pipe, to die when nobody holds the other one.
        stdout, stderr: The ends of pipes, for what tasks print.
        stacks: The end of a pipe, for stacks of a run that is under way; see pool.stack.
    """

    connection: socket.socket
    tickets: socket.socket
    records: socket.socket
    lifeline: int
    stdout: int
    stderr: int
    stacks: int


class CannotImport(Exception):
    """A task module cannot be used; the message is one clear sentence."""


def main(ends: Ends, brief: Brief, log_handler: LogHandler) -> None:
    """Live until the service hangs up; never returns, so that no thread a task left behind can hold the exit."""
    settle(brief.slot, ends.lifeline, ends.stdout, ends.stderr)
    write_stacks(ends.stacks)
    adopt_orphans()
    channel = Channel(ends.connection, ends.tickets)
    log_handler.said = said = Said(ends.records)
    try:
        functions = offered(brief.modules)
    except CannotImport as error:
        channel.send(Kind.BROKEN, str(error).encode(errors="backslashreplace"))
    else:
        _Server(channel, said, brief.max_result_bytes).serve(functions)
    os._exit(0)


def offered(modules: tuple[str, ...]) -> Functions:
    """Import task modules and find the functions they offer, by (last part of the module's path, name).

    Raises:
        CannotImport: One of them cannot be imported.
    """
    return {
        (path.rpartition(".")[2], name): runnable
        for path in modules
        for name, runnable in runnables(path).items()
    }


@cache
def runnables(path: str) -> dict[str, Offered]:
    """What a module offers, by name; a child has it from the fork server, which has asked before.

    Raises:
        CannotImport: The module cannot be imported, or no JSON value is what a function declares.
    """
    return {name: _runnable(path, name, function) for name, function in _functions(_imported(path))}


def _runnable(path: str, name: str, function: Function) -> Offered:
    try:
        return Offered(Runnable(function, converter(function)), getattr(function, OFFER_ATTRIBUTE))
    except Exception as error:  # the boundary: annotations are the module's, and may be anything
        message = f"task module {path} cannot offer {name}: {type(error).__name__}: {error}"
        raise CannotImport(message) from error


def _imported(path: str) -> ModuleType:
    try:
        return import_module(path)
    except (
        BaseException
    ) as error:  # the boundary: what a task module does when imported, an exit included, is told
        message = f"task module {path} cannot be imported: {type(error).__name__}: {error}"
        raise CannotImport(message) from error


def _functions(module: ModuleType) -> Iterator[tuple[str, Function]]:
    for name, value in vars(module).items():
        if callable(value) and isinstance(getattr(value, OFFER_ATTRIBUTE, None), Offer):
            yield name, value


class _Server:
    """Carries out one request after the other."""

    def __init__(self, channel: Channel, said: Said, max_result_bytes: int) -> None:
        self._channel = channel
        self._said = said
        self._max_result_bytes = max_result_bytes
        self._stops = Stops()

    def serve(self, functions: Functions) -> None:
        """Answer until the service hangs up, or the process is no longer as it was."""
        # What was imported before stays shared with the fork server as long as no collection writes to it.
        gc.freeze()
        functions = {name: self._stoppable(each) for name, each in functions.items()}
        state = ProcessState(time.monotonic)

        def is_fit(request: Request | None) -> bool:
            changed = state.before((request.module, request.function) if request else None)
            if not changed:
                return True
            # The next task is to find a process as this one did, so it finds another.
            self._channel.send(Kind.LEAVING, ", ".join(changed).encode())
            return False

        self._channel.send(Kind.READY)
        for request in self._channel.requests(is_fit):
            reply = self._run(functions.get((request.module, request.function)), request)
            self._channel.send(reply.kind, tag(request.task_id, reply.payload))

    def _stoppable(self, offered_function: Offered) -> Offered:
        runnable = offered_function.runnable
        function = runner(runnable.function, self._stops)
        return offered_function._replace(runnable=runnable._replace(function=function))

    def _run(self, offered_function: Offered | None, request: Request) -> Frame:
        name = f"{request.module}.{request.function}"
        if offered_function is None:
            return failed(
                "error", f"expected {name} to be a function that a task module offers, got no such function"
            )
        limits = limits_of(request)
        max_result_bytes = limits.get("result_bytes", self._max_result_bytes)
        self._stops.prepare(limits.get("timeout_s"), cooperative=offered_function.offer.cooperative)
        run = Run(request, self._stops, self._channel.send, self._said, self._max_result_bytes)
        token = running.set(run.context)
        self._said.task_id = request.task_id
        try:
            set_limits(limits)
            return call(offered_function.runnable, name, request.arguments, max_result_bytes, self._stops)
        finally:
            running.reset(token)
            run.finish()
            _flush()
            self._said.finish()
            self._said.task_id = ""


def _flush() -> None:
    """Let go of what the task printed; it may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 - the boundary: whatever it is now
            continue
