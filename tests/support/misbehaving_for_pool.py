"""Task functions with one way to misbehave each; all take the path of a file first, to say that they are at it.

Imported by children only; told of by support.misbehaviour, with how each must end.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import signal
import sys
import threading
import time
from itertools import repeat
from pathlib import Path

from kazoo_tasks import Stopping, task

_LONG_S = 600.0
_MIB = 2**20
_EVERY_DESCRIPTOR = 4096


class Spite(BaseException):
    """What no `except Exception` catches."""


def _at_it(path: str) -> None:
    """Say in which process, all of it or nothing."""
    draft = Path(f"{path}.draft")
    draft.write_text(str(os.getpid()), encoding="ascii")
    draft.rename(path)


def _leave_alone() -> None:
    """Be a process that does nothing any more, and asks nobody."""
    time.sleep(_LONG_S)
    os._exit(0)


@task
def behave(duration_s: float = 0.0) -> int:
    """Say in which process."""
    time.sleep(duration_s)
    return os.getpid()


@task
def sleep(path: str) -> None:
    """Sleep, and let itself be woken."""
    _at_it(path)
    time.sleep(_LONG_S)


@task
def loop(path: str) -> None:
    """Never return."""
    _at_it(path)
    while True:
        pass


@task
def block_signals(path: str) -> None:
    """Let nobody ask."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _at_it(path)
    time.sleep(_LONG_S)


@task
def hold_the_interpreter(path: str) -> None:
    """Count in C, where no thread gets a turn and no signal is looked for."""
    _at_it(path)
    sum(repeat(0))


@task
def match_for_ever(path: str) -> None:
    """Let a regular expression go astray: it holds the interpreter, but looks for signals."""
    _at_it(path)
    re.match(r"(a|aa)+$", "a" * 200 + "b")


@task
def take_memory(path: str, mib: int) -> int:
    """Fill so much at once, as fast as the machine can."""
    _at_it(path)
    return len(b"x" * (mib * _MIB))


@task
def fork_sleepers(path: str, count: int) -> None:
    """Have grandchildren that sleep, and sleep."""
    for _ in range(count):
        if not os.fork():
            _leave_alone()
    _at_it(path)
    time.sleep(_LONG_S)


@task
def daemonize(path: str) -> str:
    """Leave a process behind that is in another session, has another parent and is deaf to SIGTERM."""
    started = os.fork()
    if started:
        os.waitpid(started, 0)
        return "gone on"
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _at_it(path)
    _leave_alone()
    return "never"


@task
def multiply(path: str, generations: int) -> None:
    """Be a fork bomb, though one that stops at two to the power of so many."""
    _at_it(path)
    for _ in range(generations):
        os.fork()
    time.sleep(_LONG_S)


@task
def return_much(_path: str, size: int) -> str:
    """Return so many characters."""
    return "x" * size


@task
def return_an_object(_path: str) -> object:
    """Return what is no JSON."""
    return object()


@task
def print_much(_path: str, mib: int) -> str:
    """Print so many MiB, of lines that are not short."""
    line = b"x" * 1023 + b"\n"
    for _ in range(mib):
        os.write(1, line * 1024)
    return "printed"


@task
def fill_directory(path: str) -> None:
    """Write into a file where it works until there is no more room."""
    os.chdir(Path(path).parent)
    with Path("filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * _MIB)


@task
def close_descriptors(_path: str) -> str:
    """Close all that is open."""
    os.closerange(0, _EVERY_DESCRIPTOR)
    return "closed"


@task
def write_junk(_path: str) -> str:
    """Write what is no frame, no line and no number to all that is open."""
    for descriptor in range(_EVERY_DESCRIPTOR):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\xff\x00junk")
    return "written"


@task
def leave_at_once(_path: str) -> None:
    """End the process, as if all were well."""
    os._exit(0)


@task
def crash(_path: str) -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


@task
def leave(_path: str) -> None:
    """Raise what ends a program."""
    sys.exit("enough")


@task
def raise_in_finally(_path: str) -> str:
    """Return, and then do not."""
    try:
        return "well"
    finally:
        raise Spite


@task
def raise_on_the_way_out(path: str) -> None:
    """Raise something else when asked to end."""
    try:
        _at_it(path)
        time.sleep(_LONG_S)
    finally:
        raise Spite


@task
def swallow_stopping(path: str) -> None:
    """Go on, whatever comes."""
    while True:
        with contextlib.suppress(Stopping):
            _at_it(path)
            time.sleep(_LONG_S)


@task
def recurse(path: str) -> None:
    """Have no bottom."""
    recurse(path)


@task
def leave_threads(_path: str, count: int) -> str:
    """Leave threads behind that never end, and that nobody may leave behind."""
    for _ in range(count):
        threading.Thread(target=threading.Event().wait).start()
    return "threaded"


@task
def kill_group(_path: str) -> None:
    """Kill itself and all that is near."""
    os.kill(0, signal.SIGKILL)
    time.sleep(_LONG_S)


@task
def kill_parent(_path: str) -> str:
    """Kill what it was forked from."""
    os.kill(os.getppid(), signal.SIGKILL)
    return "orphaned"


@task
def stop_itself(path: str) -> None:
    """Be asleep for signals, too."""
    _at_it(path)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(_LONG_S)


@task
def double(number: int) -> int:
    """Be short, and give what can be checked."""
    return 2 * number


@task
def take_memory_at(path: str, mib: int, mib_a_s: int) -> None:
    """Fill so much, and no faster; the file always says how much and in how many µs, as nobody can ask in the end."""
    held = []
    with Path(path).open("r+b") as file, mmap.mmap(file.fileno(), 16) as counter:
        began = time.monotonic()
        for number in range(1, mib + 1):
            held.append(b"x" * _MIB)
            took_us = int((time.monotonic() - began) * 1e6)
            counter[:] = number.to_bytes(8, "big") + took_us.to_bytes(8, "big")
            while time.monotonic() < began + number / mib_a_s:
                pass
        time.sleep(_LONG_S)


@task
def daemonize_and_kill_parent(path: str) -> str:
    """Leave a process behind, and nobody who would look for it."""
    daemonize(path)
    while not Path(path).exists():
        time.sleep(0.001)
    return kill_parent(path)
