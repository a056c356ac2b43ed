"""Task functions that run into limits, that are asked to end, and that look at what they may know of themselves.

Imported by children only; used by the tests of the pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import re
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from kazoo_tasks import Stopping, context, report_progress, task
from kazoo_tasks.pool import progress as progress_of_the_pool

_LONG_S = 600.0
_MIB = 2**20


@task
def tidy_up(path: str) -> None:
    """Sleep, and write how it ended."""
    with contextlib.ExitStack() as stack:
        stack.callback(Path(path).write_text, "tidied up", encoding="ascii")
        try:
            Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
            time.sleep(_LONG_S)
        except Stopping as why:
            Path(f"{path}.why").write_text(type(why).__name__, encoding="ascii")
            raise


@task
def answer_all_the_same(path: str) -> str:
    """Sleep, and make the best of it."""
    try:
        Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
        time.sleep(_LONG_S)
    except Stopping:
        return "half of it"
    return "all of it"


@task
def swallow(path: str) -> None:
    """Go on, whatever comes."""
    Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(_LONG_S)


@task(cooperative=True)
def ask(path: str) -> str:
    """Ask whether to end."""
    Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
    while not context().stopping():
        time.sleep(0.001)
    return "asked"


@task
async def sleep_in_a_loop(path: str) -> str:
    """Sleep in an event loop, and tidy up there."""
    try:
        _write(f"{path}.pid", str(os.getpid()))
        await asyncio.sleep(_LONG_S)
    finally:
        await asyncio.sleep(0)
        _write(path, "tidied up")
    return "slept"


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="ascii")


@task
async def add(one: int, other: int) -> int:
    """Be a coroutine that ends."""
    await asyncio.sleep(0)
    return one + other


@task
def count(most: int) -> Generator[object, None, str]:
    """Report each step."""
    for number in range(most):
        yield number, most, f"step {number}"
    return "counted"


@task
def count_for_ever(path: str) -> Iterator[int]:
    """Tidy up when it is asked to end between two steps."""
    number = 0
    try:
        Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
        while True:
            number += 1
            yield number
    finally:
        Path(path).write_text("tidied up", encoding="ascii")


@task
def know_thyself() -> list[object]:
    """Say what it may know."""
    here = context()
    time.sleep(0.01)
    assert abs((context().deadline or 0) - (here.deadline or 0)) < 0.005
    return [here.task_id, here.account_id, here.attempt, here.deadline and here.deadline - time.time()]


@task
def resume() -> object:
    """Go on from where an earlier attempt was, and say where that is."""
    here = context()
    here.keep({"step": 1 + (here.checkpoint or {"step": 0})["step"]})
    return here.checkpoint


@task
def keep_nothing() -> None:
    """Keep what is no JSON."""
    context().keep({1, b"2"})


@task
def take_memory(mib: int) -> int:
    """Touch so many MiB, one in a millisecond at most, and keep them."""
    held = []
    for _ in range(mib):
        held.append(bytearray(b"x") * _MIB)
        time.sleep(0.001)
    time.sleep(_LONG_S)
    return len(held)


@task
def take_memory_below(mib: int) -> None:
    """Have a process of its own do so."""
    take = f"[(bytearray(b'x') * {_MIB}, time.sleep(0.001)) for _ in range({mib})]"
    program = f"import time; held = {take}; time.sleep({_LONG_S})"
    subprocess.run(["python3", "-c", program], check=True)


@task
def burn(path: str) -> None:
    """Use the processor."""
    Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
    while True:
        pass


@task
def match_for_ever() -> None:
    """Let a regular expression go astray: C code that holds the interpreter."""
    re.match(r"(a+)+$", "a" * 64 + "b")


@task
def multiply(count: int) -> None:
    """Start so many processes."""
    started = [subprocess.Popen(["sleep", str(_LONG_S)], start_new_session=True) for _ in range(count)]
    time.sleep(_LONG_S)
    assert started


@task
def open_many(count: int) -> int:
    """Open so many files."""
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    for each in held:
        os.close(each)
    return len(held)


@task
def write_much(path: str, size: int) -> None:
    """Write a long file."""
    Path(path).write_bytes(b"x" * size)


@task
def soft_limits() -> list[int]:
    """Say which hold for the process."""
    return [
        resource.getrlimit(limit)[0]
        for limit in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
    ]


@task
def report_for_ever(path: str) -> None:
    """Say more than anybody reads, as fast as can be."""
    Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
    number = 0
    while True:
        number += 1
        report_progress(number, note="x" * 1_000)
        progress_of_the_pool.PACE_S = 0.0


@task
def report_from_a_thread(path: str) -> None:
    """Have another thread say more than anybody reads, and sleep."""
    here = contextvars.copy_context()
    threading.Thread(target=here.run, args=(_report_for_ever,), daemon=True).start()
    Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
    time.sleep(_LONG_S)


def _report_for_ever() -> None:
    progress_of_the_pool.PACE_S = 0.0
    number = 0
    while True:
        number += 1
        report_progress(number, note="x" * 1_000)


@task
def block_signals(path: str) -> None:
    """Let nobody ask."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    Path(f"{path}.pid").write_text(str(os.getpid()), encoding="ascii")
    time.sleep(_LONG_S)


@task
def report_badly() -> None:
    """Report what is no count."""
    report_progress(-1)
