"""Run the service on this machine with a broker of its own: what `make run` executes.

Touches processes, signals and its child's environment; called by make, and by tests with another command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from broker import ROOT, URL_VARIABLE, Broker, resolve
from rabbitmq import SECONDS, NodeFailed

SERVICE = (sys.executable, "-m", "kazoo_tasks", "run")

#: Longer than the service's own grace for running tasks: it must be the one that ends its children.
STOP_LIMIT_S = 60 * SECONDS

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Stopped(BaseException):
    """The first SIGINT or SIGTERM has come; like KeyboardInterrupt, nothing but its own handler eats it."""


def main(command: Sequence[str]) -> int:
    """Run the command, the service by default, until it ends or this is told to stop.

    Returns:
        The command's exit code, zero for a clean stop.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        return _with_broker(command or SERVICE)
    except NodeFailed as failure:
        _complain(str(failure))
        return 1
    except Stopped:
        return 0


def _with_broker(command: Sequence[str]) -> int:
    started_at = time.monotonic()
    broker = resolve()
    try:
        print(f"broker: {broker.description}, ready after {time.monotonic() - started_at:.1f} s", flush=True)
        return _supervise(command, broker)
    finally:
        _ignore_signals()
        broker.close()


def _supervise(command: Sequence[str], broker: Broker) -> int:
    """Wait for the command; when told to stop, pass that on once and wait on."""
    # In a group of its own it does not get the terminal's Ctrl-C beside our SIGTERM.
    child = subprocess.Popen(
        command,
        env=_environment(broker.url),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 -- one system call, and this process has a single thread
    )
    try:
        code = child.wait()
    except Stopped:
        return _stop_child(child)
    # It died by itself, and may have left children in its group.
    _kill_group(child.pid)
    return _as_exit_code(code)


def _stop_child(child: subprocess.Popen[bytes]) -> int:
    child.terminate()
    try:
        code = child.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        _complain(f"the service did not stop in {STOP_LIMIT_S:.0f} s and is killed")
        child.kill()
        code = child.wait()
    _kill_group(child.pid)
    # A command without a handler ends by the very signal that asked it to.
    return 0 if code == -signal.SIGTERM else _as_exit_code(code)


def _as_exit_code(code: int) -> int:
    """As a shell tells it: a death by signal is 128 and the signal's number."""
    return code if code >= 0 else 128 - code


def _complain(text: str) -> None:
    print(f"make run: {text}", file=sys.stderr, flush=True)


def _environment(url: str) -> dict[str, str]:
    defaults = {
        "KAZOO_TASKS_DEVELOPMENT": "true",
        "KAZOO_TASKS_DATA_DIR": str(Path(".run") / "data"),
        "KAZOO_TASKS_LOG_FORMAT": "console",
    }
    return defaults | os.environ | {URL_VARIABLE: url}


def _stop(_number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not cut the clean stop short and leave a node behind.
    _ignore_signals()
    raise Stopped


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _die_with_parent() -> None:
    """In the child: get SIGTERM when this process is killed; its private node has a keeper for that."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
