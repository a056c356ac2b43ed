"""A control group for this process, as systemd delegates one, so that the pool has something to make its own in.

Touches the file system of cgroup v2; used by the tests of the pool.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kazoo_tasks.pool.cgroup import _own_group

_MOUNTS: Final = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
#: Where groups are made, if this system has version 2.
ROOT: Final = next((Path(path) for path in _MOUNTS if Path(path, "cgroup.procs").exists()), None)


@contextmanager
def delegated() -> Iterator[Path | None]:
    """Be in one, with all that is started, or in none where that cannot be; at the end nothing may be left in it."""
    home = _own_group()
    if home is None or ROOT is None or not os.access(ROOT, os.W_OK):
        yield None
        return
    with a_group() as place:
        assert place is not None
        try:
            _enter(place)
            yield place
        finally:
            _enter(home)


@contextmanager
def a_group() -> Iterator[Path | None]:
    """A group with nothing in it, if there can be one; at the end nothing may be left in it."""
    if ROOT is None or not os.access(ROOT, os.W_OK):
        yield None
        return
    # A name of its own: if one test leaves something in its group, the next has another.
    place = Path(tempfile.mkdtemp(prefix="kazoo-tasks-test-", dir=ROOT))
    yield place
    place.rmdir()


def groups_in(place: Path | None) -> list[str]:
    """The groups that were made in it."""
    return [path.name for path in place.rglob("*") if path.is_dir()] if place is not None else []


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()), "ascii")
