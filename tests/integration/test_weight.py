"""What a running process does not import: each of these packages was megabytes in every process that had no use for it.

Touches an interpreter for each program, which imports it as the console script does.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: By program: packages that it is not to carry, for each of them is another's.
UNWANTED = {
    "service_alone": {"aiohttp", "cryptography", "jwt", "rich", "kazoo_tasks.wire.promise"},
    "gateway_alone": {"cryptography", "jwt", "rich", "phonenumbers", "sqlite3", "kazoo_tasks.wire.promise"},
    "together": {"cryptography", "jwt", "rich", "kazoo_tasks.wire.promise"},
}


def imported(*modules: str) -> set[str]:
    """Everything that an interpreter has imported after these."""
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    # Coverage would come along, and carry what it works with.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return set(done.stdout.split())


@pytest.mark.parametrize("program", UNWANTED)
def test_a_program_carries_nothing_of_another_s(program: str) -> None:
    """Whatever the command line imports is in it as well."""
    assert not UNWANTED[program] & imported("kazoo_tasks.cli.main", f"kazoo_tasks.assembly.{program}")


def test_a_child_carries_task_modules_and_little_else() -> None:
    """It is there as often as there are slots."""
    found = imported(
        "kazoo_tasks.pool.fork_server", "kazoo_tasks.modules.timer", "kazoo_tasks.modules.erlang"
    )
    assert not {"asyncio", "multiprocessing", "pydantic", "structlog", "typing_extensions"} & found
