"""Options that several commands share, and the settings that they lead to.

Touches the settings; used by the other modules of this room.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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


def settings_of(config: Path | None, bus: str | None = None, **overrides: Any) -> Settings:
    """The settings with what the command line says on top.

    Raises:
        CannotStart: As `load_settings`.
    """
    given = {"amqp_url": bus, **overrides}
    return load_settings(config, {name: value for name, value in given.items() if value is not None})
