"""The commands that write what is derived from the code: schemas, and the README's table of settings.

Touches the files it is told to; called by `make`, and by tests that find stale files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from kazoo_tasks.model.errors import KazooTasksError
from kazoo_tasks.settings import described_settings

_TABLE: Final = re.compile(r"(?<=<!-- settings: begin -->\n).*(?=<!-- settings: end -->)", re.DOTALL)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("schemas")(write_schemas)
    app.command("docs")(write_docs)


def write_schemas(directory: Annotated[Path, typer.Argument(help="Where they go.")]) -> None:
    """Write the JSON Schemas of every message and body, and remove those that are no more."""
    from kazoo_tasks.wire.schema import schema_text, schemas

    wanted = schemas()
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in wanted.items():
        (directory / name).write_bytes(schema_text(schema))
    for file in directory.glob("*.json"):
        if file.name not in wanted:
            file.unlink()
    print(f"{len(wanted)} schemas in {directory}")


def write_docs(readme: Annotated[Path, typer.Argument(help="The README that holds the table.")]) -> None:
    """Bring the table of settings in a README up to date."""
    text = readme.read_text("utf-8")
    if not _TABLE.search(text):
        raise KazooTasksError(f"expected {readme} to mark where its table of settings begins and ends")
    readme.write_text(_TABLE.sub(lambda _: settings_table(), text), "utf-8")


def settings_table() -> str:
    """Every setting as a row of a Markdown table."""
    rows = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in described_settings()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"
