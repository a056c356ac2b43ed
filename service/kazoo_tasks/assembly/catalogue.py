"""Imports the task modules that may be run: those of the settings, and those that installed packages publish.

Touches the import system; called once at the start.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import entry_points
from types import ModuleType
from typing import Final

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.model.errors import CannotStart

ENTRY_POINTS: Final = "kazoo_tasks.modules"


def module_paths(configured: Sequence[str]) -> tuple[str, ...]:
    """The dotted paths of all task modules, each once, configured ones first."""
    published = (point.value for point in entry_points(group=ENTRY_POINTS))
    return tuple(dict.fromkeys([*configured, *published]))


def build_catalogue(paths: Sequence[str], max_arguments_bytes: int) -> Catalogue:
    """Import the modules and read what they offer; a task's arguments are at most so long, as JSON text.

    Raises:
        CannotStart: One cannot be imported, or offers nothing that can be called.
    """
    return Catalogue([_imported(path) for path in paths], max_arguments_bytes)


def _imported(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:
        # A boundary: a task module is somebody else's code and may raise anything while it is imported.
        reason = f"{type(error).__name__}: {error}"
        raise CannotStart(f"task module {path} cannot be imported: {reason}") from error
