"""Processes of the bench: started, talked to, measured, and ended by their ids whatever happens.

Touches processes and their log files; used by the measures.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from select import select
from typing import Final

import orjson
import psutil

from bench.spec import Asking, Hitting, Tasking, Told

TESTS: Final = Path(__file__).resolve().parents[1]
ROOT: Final = TESTS.parent
RUN: Final = ROOT / ".run"
OURS: Final = sys.executable
PEERS: Final = str(RUN / "bench-venv" / "bin" / "python")
_ANSWER_S: Final = 90.0
_GRACE_S: Final = 5.0
_PREFIX: Final = "KAZOO_TASKS_"


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a group of its own, which is gone afterwards, and whatever it started with it."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=TESTS,
            env=clean_environment(environment or {}),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of whatever the bench starts: none of the product's settings but the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return {**kept, "PYTHONPATH": str(TESTS), **more}


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then make it; its children live in groups of their own and are made to as well."""
    family = _family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for member in family:
        with suppress(psutil.NoSuchProcess):  # psutil knows a number that was given to another
            member.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it without a word: our service would write a snapshot first."""
    process.kill()
    process.wait()


def line(process: subprocess.Popen[bytes], say: str | None = None) -> str:
    """Its next line of output, after it was told something.

    Raises:
        RuntimeError: It died or is silent.
    """
    if say is not None:
        assert process.stdin
        process.stdin.write(f"{say}\n".encode())
        process.stdin.flush()
    assert process.stdout
    ready, _, _ = select([process.stdout], [], [], _ANSWER_S)
    text = process.stdout.readline().decode().strip() if ready else ""
    if not text:
        raise RuntimeError(f"expected {process.args!r} to say something, got exit code {process.poll()}")
    return text


def load(spec: Asking | Tasking | Hitting) -> Told:
    """Run a load in a process of its own."""
    with loading(spec) as process:
        return told(process)


@contextmanager
def loading(spec: Asking | Tasking | Hitting) -> Iterator[subprocess.Popen[bytes]]:
    """A load that has begun."""
    module = "bench.load_http" if isinstance(spec, Hitting) else "bench.load"
    command = [OURS, "-m", module, type(spec).__name__.lower()]
    with running(command, RUN / "bench" / "load.log") as process:
        assert process.stdin
        process.stdin.write(orjson.dumps(asdict(spec)))
        process.stdin.close()
        yield process


def told(process: subprocess.Popen[bytes]) -> Told:
    """What came of a load.

    Raises:
        RuntimeError: It failed; its log says why.
    """
    assert process.stdout
    ready, _, _ = select([process.stdout], [], [], _ANSWER_S)
    said = process.stdout.read() if ready else b""
    if not said:
        log = (RUN / "bench" / "load.log").read_text()
        raise RuntimeError(f"expected the load to come to something, got: {log[-1000:]}")
    return Told(**orjson.loads(said))


def family_pss(pids: Sequence[int]) -> float:
    """Proportional set size of processes and all below them, in MB."""
    every = {member.pid for pid in pids for member in _family(pid)}
    return sum(_kb(pid, "smaps_rollup", "Pss:") for pid in every) / 1024


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return _kb(pid, "status", "VmRSS:") * 1024


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, all threads together, its children not."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def wait_for(path: Path, size: int, limit_s: float) -> float:
    """When a growing file has reached a size, by the monotonic clock."""
    deadline = time.monotonic() + limit_s
    while not path.exists() or path.stat().st_size < size:
        if time.monotonic() > deadline:
            raise RuntimeError(f"expected {path} to have {size} bytes within {limit_s} s")
        time.sleep(0.001)
    return time.monotonic()


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kb(pid: int, file: str, key: str) -> int:
    text = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii")
    return next(int(each.split()[1]) for each in text.splitlines() if each.startswith(key))
