"""A process in which `kazoo-tasks` commands are run one after the other, for less than what a process each costs.

Touches the environment and the standard streams of that process; `Clerk` hands it the commands.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kazoo_tasks.cli.main import main
from kazoo_tasks.settings import PREFIX

_TESTS: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended; no code if an exception came out of it."""

    code: int | None
    out: str
    err: str


class Clerk:
    """Runs commands for the length of a `with`."""

    def __enter__(self) -> Self:
        """Start the process."""
        path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.fault_clerk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate()

    def run(self, data_dir: Path, *words: str) -> Said:
        """Have a command run on a data directory."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps([str(data_dir), *words])}\n")
        self._process.stdin.flush()
        return Said(**json.loads(self._process.stdout.readline()))


def _carry_out(data_dir: str, *words: str) -> dict[str, object]:
    os.environ[f"{PREFIX}DATA_DIR"] = data_dir
    sys.argv = ["kazoo-tasks", *words]
    # With bytes below, since the log is written as bytes.
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        except BaseException:  # noqa: BLE001 - told to whoever asked, who is looking for just that
            traceback.print_exc()
    texts = (stream.buffer.getvalue().decode() for stream in (out, err))
    return {"code": code, **dict(zip(("out", "err"), texts, strict=True))}


def _serve() -> None:
    for line in sys.stdin:
        answer = json.dumps(_carry_out(*json.loads(line)))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
