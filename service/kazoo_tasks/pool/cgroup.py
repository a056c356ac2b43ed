"""A control group for each child, where the system lets us have some: one word kills all that is in it, at once.

Touches the file system of cgroup v2; used by the fork server, and by its client when that was killed.
(Linux: Documentation/admin-guide/cgroup-v2.rst.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_OWN: Final = Path("/proc/self/cgroup")
_PROC: Final = Path("/proc")
_HOMES: Final = "kazoo-tasks-"
#: How long what was killed may take to leave its group, at the end.
_DYING_S: Final = 1.0
_MOMENT_S: Final = 0.01


def delegated() -> Path | None:
    """The directory of this process's own group, if it is ours to make groups in.

    It is in a container with a writable one, and under systemd with `Delegate=yes`. The root of all is never ours.
    """
    group = _own_group()
    if group is None or not (group / "cgroup.kill").exists():
        # The root has no such file, and no system before Linux 5.14 has.
        return None
    return group if os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK) else None


def remove_groups_of(fork_server: int) -> None:
    """Do for a fork server that was killed what it would have done at its end."""
    group = delegated()
    if group is not None:
        _remove([group / f"{_HOMES}{fork_server}"])


class ChildGroups:
    """The groups of one fork server's children, by their process ids; where there are none, nothing happens."""

    def __init__(self, group: Path | None) -> None:
        """Make one to have them all in, within `group`; those of fork servers that were killed are seen to as well."""
        self._orphaned = _homes_of_the_dead(group) if group is not None else []
        self._home = group and group / f"{_HOMES}{os.getpid()}"
        self._ended: set[Path] = set()
        if self._home is not None:
            try:
                self._home.mkdir()
            except OSError:
                self._home = None

    def enter(self) -> None:
        """Put this process, a new child, into a group of its own, and so whatever it starts."""
        if self._home is not None:
            place = self._home / str(os.getpid())
            # It is only one of two ways to find what the child starts.
            with suppress(OSError):
                place.mkdir()
                (place / "cgroup.procs").write_text("0", "ascii")

    def end(self, pid: int) -> None:
        """Kill all that a dead child has left behind."""
        if self._home is not None:
            self._kill(self._home / str(pid))

    def tidy(self) -> None:
        """Remove the groups in which nothing lives any more."""
        for place in [place for home in self._orphaned for place in _groups_in(home)]:
            # A child may still be at its run, for which it needs no fork server.
            if place.name not in _lines(place / "cgroup.procs"):
                self._kill(place)
        self._ended = {place for place in self._ended if not _is_removed(place)}
        self._orphaned = [home for home in self._orphaned if not _is_removed(home)]

    def close(self) -> None:
        """Kill whatever is left in any of them, and remove them."""
        _remove([home for home in (self._home, *self._orphaned) if home is not None])

    def _kill(self, place: Path) -> None:
        _kill(place)
        self._ended.add(place)


def _kill(place: Path) -> None:
    with suppress(OSError):
        (place / "cgroup.kill").write_text("1", "ascii")


def _remove(homes: Sequence[Path]) -> None:
    """Kill whatever is left in them, and wait a while until they can go."""
    for place in [place for home in homes for place in _groups_in(home)]:
        _kill(place)
    deadline = time.monotonic() + _DYING_S
    while not all(_is_emptied(home) for home in homes) and time.monotonic() < deadline:
        time.sleep(_MOMENT_S)


def _is_emptied(home: Path) -> bool:
    for place in _groups_in(home):
        _is_removed(place)
    return _is_removed(home)


def _homes_of_the_dead(group: Path) -> list[Path]:
    homes = {path: path.name.removeprefix(_HOMES) for path in group.glob(f"{_HOMES}*")}
    return [path for path, pid in homes.items() if pid.isdigit() and not (_PROC / pid).exists()]


def _groups_in(group: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in group.iterdir() if path.is_dir()]
    return []


def _is_removed(place: Path) -> bool:
    with suppress(OSError):  # something in it is still dying
        place.rmdir()
    return not place.exists()


def _own_group() -> Path | None:
    # `0::/path`: the one line of version 2.
    own = next((line[3:] for line in _lines(_OWN) if line.startswith("0::")), None)
    for line in _lines(_MOUNTS):
        mount, _, kind = line.partition(" - ")
        if own is not None and kind.startswith("cgroup2 "):
            _, _, _, root, point, *_ = mount.split(" ")
            return Path(point) / os.path.relpath(own, root)
    return None


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text("utf-8").splitlines()
    return []
