"""The peers' environment, made anew when its lock changes, and what machine and versions everything ran on.

Touches .run/bench-venv and /proc; used by the runner.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.process import PEERS, RUN, TESTS

LOCK: Final = TESTS / "bench" / "requirements.txt"
_VENV: Final = RUN / "bench-venv"
_PACKAGES: Final = (
    *(
        "aio-pika",
        "aiohttp",
        "celery",
        "dramatiq",
        "faststream",
        "pebble",
        "taskiq",
        "taskiq-aio-pika",
        "uvloop",
    ),
)


def set_up() -> None:
    """Have the peers installed as locked."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = _VENV / "lock.sha256"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    sys.stdout.write(f"bench: installing {LOCK.name} into {_VENV.name}\n")
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
    # The lock is complete, so there is nothing to resolve: a resolver may prefer a release that came out after it.
    locked = ("--require-hashes", "--no-deps", "-r", str(LOCK))
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *locked)
    subprocess.run([PEERS, *install], check=True, stderr=subprocess.DEVNULL)
    stamp.write_text(wanted, encoding="ascii")


def described(rabbitmq: str) -> list[tuple[str, str]]:
    """The machine and the versions, for people."""
    peers = ", ".join(f"{name} {each}" for name, each in _peer_versions())
    return [
        ("CPU", f"{_cpu()}, {os.cpu_count()} cores"),
        ("kernel", platform.release()),
        ("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2**20:,} MB"),
        ("load when it began", f"{os.getloadavg()[0]:.2f} (anything much above 0 is others' work)"),
        ("Python", platform.python_version()),
        ("SQLite", f"{sqlite3.sqlite_version}, WAL, synchronous=FULL"),
        ("RabbitMQ", f"{rabbitmq}, one private node, one scheduler"),
        ("kazoo-tasks", f"{version('kazoo-tasks')}, commit {_commit()}"),
        ("peers", peers),
    ]


def _peer_versions() -> list[tuple[str, str]]:
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    said = subprocess.run([PEERS, "-c", code, *_PACKAGES], check=True, capture_output=True, text=True).stdout
    return list(zip(_PACKAGES, said.split(), strict=True))


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], check=False, capture_output=True, text=True, cwd=TESTS
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        " with local changes" if git("status", "--porcelain", "--", "../service") else ""
    )
