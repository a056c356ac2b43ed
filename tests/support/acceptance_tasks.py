"""Task functions for the tests that see the whole program from outside.

Imported by the service and its children; touches the files whose paths it is given.
"""

import os
import subprocess
import time
from pathlib import Path

from kazoo_tasks import context, report_progress, task

_LONG_S = 600
_GLANCE_S = 0.005


def _sign(path: str) -> int:
    """Add our process id as a line to a file, and give how many lines it has now."""
    with Path(path).open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    return len(Path(path).read_text(encoding="ascii").splitlines())


@task
def hold(path: str) -> None:
    """Say in a file that it runs, start a program of its own, and never end."""
    program = subprocess.Popen(["sleep", str(_LONG_S)])
    _sign(path)
    program.wait()


@task(idempotent=True)
def once_more(path: str) -> int:
    """Never end at the first time, and say at the next one which it is."""
    times = _sign(path)
    if times == 1:
        time.sleep(_LONG_S)
    return times


@task
def await_file(mark: str, awaited: str) -> str:
    """Say in a file that it runs, and end as soon as another file is there."""
    _sign(mark)
    while not Path(awaited).exists():
        time.sleep(_GLANCE_S)
    return "it came"


@task
def leave(code: int) -> None:
    """End the process without a word."""
    os._exit(code)


@task
def whoami() -> int:
    """Say in which process it ran."""
    return os.getpid()


@task
def count(total: int) -> int:
    """Tell how far it is, after each step."""
    for done in range(1, total + 1):
        report_progress(done, total, "counting")
    return total


@task(max_running=1)
def await_file_alone(awaited: str) -> None:
    """End as soon as a file is there; one at a time."""
    while not Path(awaited).exists():
        time.sleep(_GLANCE_S)


@task(idempotent=True)
def die_before(path: str, times: int) -> int:
    """End the process without a word until it is the last time."""
    done = _sign(path)
    print(f"this is attempt {context().attempt}", flush=True)  # noqa: T201 - what is printed is its log
    if done < times:
        os._exit(9)
    return done
