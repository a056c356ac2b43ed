"""The live stack of a run, from inside the child: written into a pipe at a signal, whatever the run is doing.

Touches signal handlers; used by pool.child. The other end is pool.stack_reader.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final

#: Real-time signals, which hardly any library uses. The first is answered in C, even if C code holds the interpreter.
THREADS: Final = signal.SIGRTMIN + 7
#: The second is answered between two bytecodes: what waits in the event loop, which no thread's stack shows.
COROUTINES: Final = signal.SIGRTMIN + 8
MAX_BYTES: Final = 64 * 1024


def write_stacks(fd: int) -> None:
    """Answer both signals into this pipe, from here on."""
    # If nobody reads it, a part is lost; a handler that waited would stop the run.
    os.set_blocking(fd, False)
    faulthandler.register(THREADS, file=fd, all_threads=True, chain=False)
    signal.signal(COROUTINES, lambda _number, _frame: _write_coroutines(fd))


def _write_coroutines(fd: int) -> None:
    asyncio = sys.modules.get("asyncio")
    try:
        tasks = asyncio.all_tasks() if asyncio is not None else ()
    except RuntimeError:  # no loop is running
        return
    lines = [line for task in tasks for line in (f"Coroutine {task.get_name()}:", *_frames(task.get_coro()))]
    try:
        os.write(fd, "\n".join([*lines, ""]).encode(errors="backslashreplace")[:MAX_BYTES])
    except BlockingIOError:
        return


def _frames(awaited: Any) -> Iterator[str]:
    """Where each coroutine of a chain is, the one that waits last; as faulthandler writes frames."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            code = frame.f_code
            yield f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}'
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
