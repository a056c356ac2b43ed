"""Options that several commands share, and the settings that they lead to.

Touches the settings; used by the other modules of this room.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kazoo_tasks.model.errors import KazooTasksError
from kazoo_tasks.model.identity import ACCOUNT_ID, TASK_ID
from kazoo_tasks.settings import Settings, load_settings

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file of settings.", show_default=False, metavar="FILE"),
]
BusUrl = Annotated[
    str | None,
    typer.Option(
        "--bus", help="The broker: an amqp:// URL, or memory://.", show_default=False, metavar="URL"
    ),
]


def _shaped(shape: re.Pattern[str], what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if shape.fullmatch(text) is None:
            raise KazooTasksError(f"expected {what}, got {text!r}")
        return text

    return check


def _shaped_if_given(shape: re.Pattern[str], what: str) -> Callable[[str | None], str | None]:
    check = _shaped(shape, what)
    return lambda text: None if text is None else check(text)


_ACCOUNT: Final = "an account id: 32 lower-case hexadecimal digits"
_TASK: Final = "a task id: 30 lower-case hexadecimal digits"
Account = Annotated[
    str, typer.Argument(help=f"{_ACCOUNT[3:].capitalize()}.", callback=_shaped(ACCOUNT_ID, _ACCOUNT))
]
TaskId = Annotated[str, typer.Argument(help=f"{_TASK[2:].capitalize()}.", callback=_shaped(TASK_ID, _TASK))]
GivenTask = Annotated[
    str | None,
    typer.Option(
        "--task", help="Of this task alone; it may be gone.", callback=_shaped_if_given(TASK_ID, _TASK)
    ),
]


def settings_of(config: Path | None, bus: str | None = None, **overrides: Any) -> Settings:
    """The settings with what the command line says on top.

    Raises:
        CannotStart: As `load_settings`.
    """
    given = {"amqp_url": bus, **overrides}
    return load_settings(config, {name: value for name, value in given.items() if value is not None})
