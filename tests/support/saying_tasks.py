"""Task functions that print and log in every way there is.

Imported by the children of the tests of task logs.
"""

import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from kazoo_tasks import context, task

_library_log = logging.getLogger("some.library")
_C: ctypes.CDLL = ctypes.CDLL(None)


@task
def say(text: str) -> None:
    """Print to the standard output."""
    print(text)  # noqa: T201 - printing is what is tried


@task
def complain(text: str) -> None:
    """Print to the error output."""
    print(text, file=sys.stderr)  # noqa: T201 - as above


@task
def say_everywhere() -> None:
    """Print by Python, by the C library, by a program, and to the error output; log by both ways."""
    print("python")  # noqa: T201 - as above
    _C.puts(b"library")
    _C.fflush(None)
    subprocess.run(["echo", "program"], check=True)
    print("error", file=sys.stderr)  # noqa: T201 - as above
    context().log("by hand", level="warning", number=7)
    _library_log.info("by %s", "logging", extra={"caller": "4155550123"})
    try:
        raise ValueError("bla")  # noqa: TRY301 - to be caught
    except ValueError:
        _library_log.exception("it failed")


@task
def log_and_die(count: int) -> None:
    """Log so many records, and end in the middle of it."""
    for number in range(count):
        context().log("still here", number=number)
    os._exit(3)


@task
def log_oddly() -> None:
    """Log what has no JSON form, is too long, or comes from a fork."""
    context().log("odd", value=object(), text="x", lone="\ud800")
    context().log("y" * 100_000)
    pid = os.fork()
    if not pid:
        _library_log.info("from a fork")
        os._exit(0)
    os.waitpid(pid, 0)


@task
def say_much(megabytes: int) -> None:
    """Print lines of 100 bytes."""
    block = b"".join(b"%099d\n" % number for number in range(10_000))
    for _ in range(megabytes):
        os.write(1, block)


@task
def say_bytes(hexadecimal: str) -> None:
    """Print bytes, each with a write of its own."""
    for byte in bytes.fromhex(hexadecimal):
        os.write(1, bytes([byte]))


@task
def say_and_leave(code: int) -> None:
    """Print and end the process, unflushed by anybody."""
    os.write(1, b"last words\n")
    os._exit(code)


@task
def say_and_wait(text: str, path: str) -> None:
    """Print a line whenever a file has grown, until it is gone."""
    print(text, flush=True)  # noqa: T201 - as above
    seen = 0
    while (file := Path(path)).exists():
        if (size := file.stat().st_size) != seen:
            seen = size
            print(f"{text} {time.time():.6f}", flush=True)  # noqa: T201 - as above
        time.sleep(0.001)


@task
def say_later(text: str) -> None:
    """Leave a thread behind that logs when the run is over."""
    log = context().log

    def later() -> None:
        time.sleep(0.2)
        log(text)

    threading.Thread(target=later).start()


@task(log_bytes=2_000, result_bytes=10)
def say_briefly(lines: int) -> str:
    """Have little kept of what is printed, and little returned."""
    for number in range(lines):
        print(f"line {number}")  # noqa: T201 - as above
    return "x" * lines


@task(idempotent=True)
def say_each_time(path: str) -> int:
    """Wait for ever at the first attempt."""
    attempt = context().attempt
    print(f"attempt {attempt}", flush=True)  # noqa: T201 - as above
    Path(path).write_text(str(attempt), encoding="ascii")
    while attempt == 1:
        time.sleep(1)
    return attempt


@task
def forge_record(hexadecimal: str) -> None:
    """Write into the socket over which records go, and then log a record."""
    handler = logging.getLogger().handlers[0]
    connection = handler.said._connection  # type: ignore[attr-defined]  # that of the pool
    message = bytes.fromhex(hexadecimal).replace(b"{task}", context().task_id.encode())
    for _ in range(100):
        if message:
            connection.send(message)
    context().log("honest")


@task
def say_twice() -> int:
    """Print, fork, and let both sides come to the end."""
    context().log("before")
    os.write(1, b"x" * 60_000)
    return 1 if os.fork() else 2
