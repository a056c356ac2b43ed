"""Imports the task modules that may be run: those of the settings, and those that installed packages publish.

Touches the import system and the modules' sources; called at the start, and again for a reload.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.errors import CannotStart

ENTRY_POINTS: Final = "kazoo_tasks.modules"
_VERSION_BYTES: Final = 6
_SHIPPED: Final = "kazoo_tasks.modules"


def module_paths(configured: Sequence[str]) -> tuple[str, ...]:
    """The dotted paths of all task modules, each once, configured ones first."""
    published = (point.value for point in entry_points(group=ENTRY_POINTS))
    return tuple(dict.fromkeys([*configured, *published]))


def build_catalogue(paths: Sequence[str], max_arguments_bytes: int) -> Catalogue:
    """Import the modules and read what they offer; a task's arguments are at most so long, as JSON text.

    Raises:
        CannotStart: One cannot be imported, or offers nothing that can be called.
    """
    modules = [_imported(path) for path in paths]
    versions = {module.__name__.rpartition(".")[2]: _version(module) for module in modules}
    return Catalogue(modules, max_arguments_bytes, versions)


def rebuild_catalogue(paths: Sequence[str], max_arguments_bytes: int) -> Catalogue:
    """The same with what their sources are now; what else they import, but is none of their package, stays as it is.

    Only signatures, annotations and descriptions are wanted here: children import everything afresh.

    Raises:
        CannotStart: As `build_catalogue`; then everything is imported as it was.
    """
    before = {name: module for name, module in sys.modules.items() if _is_of(name, paths)}
    for name in before:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        return build_catalogue(paths, max_arguments_bytes)
    except CannotStart:
        for name in [name for name in sys.modules if _is_of(name, paths)]:
            del sys.modules[name]
        sys.modules.update(before)
        raise


def _is_of(name: str, paths: Sequence[str]) -> bool:
    """Whether a module is a task module, or of the package of one."""
    return any(name == home or name.startswith(f"{home}.") for home in map(_home, paths))


def _home(path: str) -> str:
    return _SHIPPED if path.startswith(f"{_SHIPPED}.") else path.partition(".")[0]


def _version(module: ModuleType) -> str:
    digest = hashlib.blake2b(digest_size=_VERSION_BYTES)
    for file in _sources(module):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _sources(module: ModuleType) -> Iterator[Path]:
    """The module's file; of a package, all that it has."""
    if module.__file__ is None:
        return
    file = Path(module.__file__)
    yield from sorted(file.parent.rglob("*.py")) if hasattr(module, "__path__") else [file]


def _imported(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:
        # A boundary: a task module is somebody else's code and may raise anything while it is imported.
        reason = f"{type(error).__name__}: {error}"
        raise CannotStart(f"task module {path} cannot be imported: {reason}") from error
