"""A command of the program, run to its end: what it said, what it returned, and whether anything is left of it.

Touches processes and a directory for each; used by the tests of the acceptance room.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kazoo_tasks.settings import PREFIX
from support.pool import await_death
from support.program import PATIENCE_S

#: sysexits(3): something is wrong with the configuration.
CONFIG_ERROR: Final = 78
_ENDING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind.

    Attributes:
        code: Its exit code.
        out: What it printed.
        sentences: The lines of its stderr that are no log lines.
        log: The others.
        left_behind: Processes that it started and that outlived it.
    """

    code: int
    out: str
    sentences: list[str]
    log: list[dict[str, Any]]
    left_behind: list[int]

    @property
    def values(self) -> list[Any]:
        """What it printed, as the JSON that it should be: a value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def assert_refused(said: Said, *parts: str) -> None:
    """Just one sentence, which has these parts; no traceback anywhere; no process that outlived the first."""
    assert said.code == CONFIG_ERROR, said
    assert len(said.sentences) == 1, said.sentences
    assert said.sentences[0].startswith("kazoo-tasks: ")
    assert all(part in said.sentences[0] for part in parts), said.sentences
    assert "Traceback" not in f"{said.sentences}{said.log}{said.out}"
    assert not said.left_behind


async def command(*arguments: str, given: Mapping[str, str]) -> Said:
    """Run `kazoo-tasks` with these arguments, and no settings but these, to the end of all that it started."""
    # By the directory in which it began we know what it started.
    with tempfile.TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kazoo_tasks", *arguments),
            stdout=PIPE,
            stderr=PIPE,
            env={**_clean_environment(), **given},
            cwd=directory,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), *_told(err.decode()), _started_in(directory))


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _told(text: str) -> tuple[list[str], list[dict[str, Any]]]:
    lines = text.splitlines()
    log = [line for line in lines if line.startswith("{")]
    return [line for line in lines if not line.startswith("{")], [json.loads(line) for line in log]


def _started_in(directory: str) -> list[int]:
    here = Path(directory).resolve()
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cwd") if _target(path) == here]
    # Who is just ending has closed its streams before it lets go of its directory.
    return await_death(found, _ENDING_S)


def _target(link: Path) -> Path | None:
    try:
        return link.readlink()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
