"""Processes as the kernel tells of them: who is below whom, and what each takes.

Reads /proc; used by pool.descendants inside a child and the fork server, and by pool.usage from outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
#: Some kernels are built without (CONFIG_PROC_CHILDREN).
_HAS_LISTS: Final = (_PROC / "thread-self" / "children").exists()


def children_of(pid: int) -> Iterator[int]:
    """The process ids of a process's children; none if it is gone."""
    return _listed(pid) if _HAS_LISTS else _searched(pid)


def stat(pid: int) -> list[str]:
    """The fields of `/proc/<pid>/stat` from the state on, which proc(5) counts as the third; none if it is gone."""
    # `pid (name) state …`, and a name may hold anything.
    return read(pid, "stat").rpartition(")")[2].split()


def read(pid: int, name: str) -> str:
    """A file of a process; empty if it is gone, or not ours to read."""
    with suppress(OSError):
        return (_PROC / str(pid) / name).read_text("utf-8", "replace")
    return ""


def _listed(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            # It may have ended since it was listed; its children are another thread's then.
            yield from map(int, read(pid, f"task/{thread.name}/children").split())


def _searched(pid: int) -> Iterator[int]:
    for process in _PROC.iterdir():
        fields = stat(int(process.name)) if process.name.isdigit() else []
        if fields and int(fields[1]) == pid:
            yield int(process.name)
