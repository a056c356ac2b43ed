"""Task functions that behave as badly as the pool has to bear.

Imported by children only; used by the tests of the pool.
"""

import contextvars
import json
import locale
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from kazoo_tasks import report_progress, task

_LONG_S = 600


@task
def nothing() -> None:
    """Return at once."""


@task
def echo(value: object) -> object:
    """Return what was given."""
    return value


@task
def length(text: str) -> int:
    """Return how long a text is."""
    return len(text)


@task
def add(one: int, other: int) -> int:
    """Return the sum."""
    return one + other


@task
def fail(message: str) -> None:
    """Raise."""
    raise ValueError(message)


@task
def fail_unspeakably() -> None:
    """Raise what cannot even be shown."""

    class UnspeakableError(Exception):
        @override
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    raise UnspeakableError


@task
def interrupt() -> None:
    """Raise what normally ends a program."""
    raise KeyboardInterrupt


@task
def leave(code: int) -> None:
    """Raise SystemExit."""
    sys.exit(code)


@task
def leave_at_once(code: int) -> None:
    """End the process."""
    os._exit(code)


@task
def leave_in_a_moment() -> int:
    """Return, and end the process a moment later."""
    threading.Timer(0.01, os._exit, (3,)).start()
    return 1


@task
def kill_itself(number: int) -> None:
    """Die of a signal."""
    os.kill(os.getpid(), number)
    time.sleep(_LONG_S)


@task
def ignore_sigterm(path: str) -> None:
    """Refuse to be asked to stop; the file says when it does."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(_LONG_S)


class _AskedError(Exception):
    """SIGTERM came."""


def _raise_asked(*_unused: object) -> None:
    raise _AskedError


@task
def return_on_sigterm(path: str) -> str:
    """Return when asked to stop."""
    signal.signal(signal.SIGTERM, _raise_asked)
    try:
        wait(path)
    except _AskedError:
        return "in time"
    return "late"


@task
def raise_on_sigterm(path: str) -> None:
    """Leave when asked to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    wait(path)


@task
def hold_the_interpreter(path: str) -> None:
    """Spend ages in C without letting any other thread run."""
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    re.match(r"(a|aa)+$", "a" * 200 + "b")


@task
def wait(path: str) -> None:
    """Say in a file that it runs, then wait for ages."""
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(_LONG_S)


@task
def touch(path: str) -> None:
    """Say in a file that it ran."""
    Path(path).touch()


@task
def sleep(duration_s: float) -> int:
    """Wait, then say in which process."""
    time.sleep(duration_s)
    return os.getpid()


@task
def echo_slowly(value: object, duration_s: float) -> object:
    """Return what was given, after a while."""
    time.sleep(duration_s)
    return value


@task
def beget(path: str) -> None:
    """Start a program and wait for it; the file holds its process id."""
    child = subprocess.Popen(["sleep", str(_LONG_S)])
    Path(path).write_text(str(child.pid), encoding="ascii")
    child.wait()


@task
def beget_and_die(path: str) -> None:
    """Start a program and leave it behind."""
    child = subprocess.Popen(["sleep", str(_LONG_S)])
    Path(path).write_text(str(child.pid), encoding="ascii")
    os._exit(3)


@task
def daemonize(path: str) -> None:
    """Leave two processes behind that nothing connects with this one; the file holds their ids."""
    _daemonize(path)


@task
def daemonize_and_wait(path: str) -> None:
    """The same, and go on."""
    _daemonize(path)
    time.sleep(_LONG_S)


@task
def daemonize_and_die(path: str) -> None:
    """The same, and end the child."""
    _daemonize(path)
    os._exit(3)


def _daemonize(path: str) -> None:
    started = os.fork()
    if started:
        os.waitpid(started, 0)
        while not Path(path).exists():
            time.sleep(0.001)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    below = subprocess.Popen(["sleep", str(_LONG_S)], start_new_session=True)
    draft = Path(f"{path}.draft")
    draft.write_text(f"{os.getpid()} {below.pid}", encoding="ascii")
    draft.rename(path)
    time.sleep(_LONG_S)
    os._exit(0)


@task
def fork_and_return() -> int:
    """Come back twice."""
    os.fork()
    return os.getpid()


@task
def big(size: int) -> str:
    """Return so many characters."""
    return "x" * size


@task
def not_json(kind: str) -> object:
    """Return what JSON cannot hold."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    return {
        "bytes": b"x",
        "nan": float("nan"),
        "surrogate": "\udc80",
        "deep": deep,
    }[kind]


def _connection() -> int:
    """Find the child's end of its connection: of its two sockets the one that was opened first."""
    return min(int(path.name) for path in Path("/proc/self/fd").iterdir() if path.is_socket())


@task
def write_garbage(text: str) -> int:
    """Write into the connection what is no frame."""
    os.write(_connection(), text.encode())
    return 1


@task
def pretend(task_id: str) -> int:
    """Write a result for some other task into the connection."""
    said = task_id.encode() + b"\n666"
    os.write(_connection(), len(said).to_bytes(4, "big") + b"\x04" + said)
    return 1


@task
def close_connection(then_loop: bool) -> int:  # noqa: FBT001 - it arrives as JSON
    """Close the connection, and perhaps never come back."""
    os.close(_connection())
    while then_loop:
        time.sleep(1)
    return 1


@task
def say(text: str) -> None:
    """Print."""
    print(text)  # noqa: T201 - printing is what is tried


@task
def close_output() -> None:
    """Take the streams away."""
    sys.stdout.close()


@task
def count(total: int) -> int:
    """Report progress much too often."""
    for done in range(total + 1):
        report_progress(done, total, "counting")
    return total


@task
def count_from_thread(total: int) -> None:
    """Report progress from a thread."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(report_progress, total))
    thread.start()
    thread.join()


@task
def report_badly() -> None:
    """Report what is no progress."""
    report_progress(-1)


@task
def modules() -> list[str]:
    """Say what the process has imported."""
    return sorted(sys.modules)


@task
def chance() -> float:
    """Return a random number."""
    return random.random()


@task
def surroundings() -> dict[str, object]:
    """Say what the child is like."""
    return {
        "pid": os.getpid(),
        "sid": os.getsid(0),
        "title": Path("/proc/self/cmdline").read_text(encoding="utf-8").strip("\0 "),
        "oom": Path("/proc/self/oom_score_adj").read_text(encoding="ascii").strip(),
        "sigint": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "sigterm": _name_of(signal.getsignal(signal.SIGTERM)),
        "fds": sorted(
            path.readlink().name.split(":")[0]
            for path in Path("/proc/self/fd").iterdir()
            if path.exists() and int(path.name) > sys.stderr.fileno()
        ),
        "stdin": str(Path("/proc/self/fd/0").readlink()),
    }


def not_offered() -> None:
    """Exist, and be no task."""


@task
def set_non_blocking(descriptors: list[int]) -> str:
    """Have nobody wait at these, whoever shares them."""
    for descriptor in descriptors:
        os.set_blocking(descriptor, False)
    return "done"


@task
def descriptors() -> list[str]:
    """Say what is open here."""
    return [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]


def _chdir_to_nowhere() -> None:
    nowhere = Path(tempfile.mkdtemp())
    os.chdir(nowhere)
    nowhere.rmdir()


#: By name: what a task may change of its process.
CHANGES: dict[str, Callable[[], object]] = {
    "working directory": lambda: os.chdir("/"),
    "a directory that is gone": _chdir_to_nowhere,
    "umask": lambda: os.umask(0),
    "environment": lambda: os.environ.update(PATH="", LEFT="behind"),
    "signal handlers": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "signal mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
    "timer": lambda: signal.setitimer(signal.ITIMER_REAL, 600),
    "resource limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)),
    "niceness": lambda: os.nice(5),
    "sys.stdout": lambda: setattr(sys, "stdout", None),
    "standard output": lambda: os.close(1),
    "standard output that does not wait": lambda: os.set_blocking(1, False),
    "open descriptors": lambda: os.dup(0),
    "warnings filters": lambda: warnings.simplefilter("error"),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "default socket timeout": lambda: socket.setdefaulttimeout(1),
    "recursion limit": lambda: sys.setrecursionlimit(50_000),
    "processes": lambda: subprocess.Popen(["sleep", str(_LONG_S)], start_new_session=True),
    "threads": lambda: threading.Thread(target=time.sleep, args=(_LONG_S,), daemon=True).start(),
}


def _name_of(handler: object) -> str:
    return str(getattr(handler, "__qualname__", handler))


def _traits() -> list[object]:
    try:
        directory = Path.cwd()
    except FileNotFoundError:
        directory = Path("gone")
    mask = os.umask(0)
    os.umask(mask)
    return [
        *(str(directory), mask, sorted(os.environ.items()), _name_of(signal.getsignal(signal.SIGTERM))),
        *(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), signal.getitimer(signal.ITIMER_REAL)),
        *(resource.getrlimit(resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, 0), sys.stdout is None),
        *(len(list(Path("/proc/self/fd").iterdir())), len(warnings.filters), locale.setlocale(locale.LC_ALL)),
        *(socket.getdefaulttimeout(), sys.getrecursionlimit(), threading.active_count(), os.get_blocking(1)),
    ]


@task
def traits() -> list[object]:
    """Say what the process is like."""
    return json.loads(json.dumps(_traits()))  # type: ignore[no-any-return]  # a list again


@task
def change(name: str) -> int:
    """Change something of the process, and say in which."""
    CHANGES[name]()
    return os.getpid()
