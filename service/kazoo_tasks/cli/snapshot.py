"""The commands for snapshots: take one, restore one.

Touches the data directory only while no service has it; a running service is asked over the bus.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kazoo_tasks.cli.option import BusUrl, Config, settings_of
from kazoo_tasks.model.errors import CannotStart, DirectoryInUse
from kazoo_tasks.settings import Settings

#: A snapshot of millions of tasks takes a while.
_PATIENCE_S: Final = 120.0


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(snapshot)
    app.command()(restore)


def snapshot(config: Config = None, bus: BusUrl = None) -> None:
    """Write a snapshot of the store now, whether the service runs or not."""
    settings = settings_of(config, bus)
    taken = asyncio.run(_take(settings))
    print(f"{taken['path']}: {taken['tasks']} tasks, {taken['size_bytes']} bytes")


def restore(
    file: Annotated[Path, typer.Argument(help="The snapshot.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the journal that is there.")] = False,
    config: Config = None,
) -> None:
    """Put a snapshot in the place of the journal; the service must not run."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from kazoo_tasks.store.snapshot import restore as restore_snapshot

    settings = settings_of(config)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        copying = bar.add_task("restoring", total=None)
        restore_snapshot(
            file,
            settings.data_dir,
            force=force,
            progress=lambda done, total: bar.update(copying, completed=done, total=total),
        )
    print(f"restored {file} into {settings.data_dir}")


async def _ask(settings: Settings) -> dict[str, Any]:
    from kazoo_tasks.assembly.client import connected

    async with connected(settings, _PATIENCE_S) as ask:
        taken: dict[str, Any] = (await ask("snapshot_req", {}))["Reply"]
        return taken


async def _take(settings: Settings) -> dict[str, Any]:
    from kazoo_tasks.assembly.journal import build_journal
    from kazoo_tasks.store.snapshot import has_journal

    if not has_journal(settings.data_dir):
        raise CannotStart(f"expected a journal in {settings.data_dir}, got none")
    journal = build_journal(settings)
    try:
        await journal.load()
    except DirectoryInUse:
        return await _ask(settings)
    try:
        return asdict(await journal.snapshot())
    finally:
        await journal.close()
