"""The console script: its commands, and how each failure leaves it.

Touches the terminal; a domain error is one sentence and an exit code, never a traceback.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from kazoo_tasks.assembly.log import quieten_logging
from kazoo_tasks.cli import document, process, schedule, snapshot, task, token
from kazoo_tasks.model.errors import (
    BusUnavailable,
    CannotStart,
    KazooTasksError,
    RequestsStopped,
    StoreBroken,
)

#: By branch of the error tree, most special first; sysexits(3) where it has a word for it.
_EXIT_CODES: Final[tuple[tuple[type[KazooTasksError], int], ...]] = (
    (CannotStart, 78),
    (StoreBroken, 74),
    (RequestsStopped, 75),
    (BusUnavailable, 69),
    (KazooTasksError, 1),
)

app = typer.Typer(
    name="kazoo-tasks",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        print(f"kazoo-tasks {version('kazoo-tasks')}")
        raise typer.Exit


@app.callback()
def _begin(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Tell the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Runs Python functions as background tasks for a Kazoo-style telecom platform."""
    quieten_logging()


for room in (process, snapshot, task, document):
    room.register(app)
app.add_typer(schedule.app, name="schedule")
app.add_typer(token.app, name="token")


def main() -> None:
    """Run the command line, and end with the code of what went wrong."""
    try:
        app()
    except KazooTasksError as error:
        print(f"kazoo-tasks: {error}", file=sys.stderr)
        sys.exit(next(code for branch, code in _EXIT_CODES if isinstance(error, branch)))
