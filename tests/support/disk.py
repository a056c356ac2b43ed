"""A file system that is small enough to be filled.

Mounts and unmounts it, which only root may; used by the tests of the store, of the whole program and of the fault lab.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def may_mount() -> bool:
    """Whether we may make a file system."""
    return os.geteuid() == 0


@contextmanager
def small_disk(place: Path, size: str = "4m") -> Iterator[Path]:
    """A file system of this size."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def use_up(filler: Path, but_pages: int = 0) -> None:
    """Let not a byte be free on the file system of this file, or just so many pages."""
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    os.truncate(filler, filler.stat().st_size - but_pages * 4096)
