"""A process with request handlers and their SQLite journal, to be killed: commands and answers are lines.

Touches one data directory and the standard streams: `python -m support.fault_handlers DATA_DIR`, and `Owner`
to talk to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, cast

from typing_extensions import override

from kazoo_tasks.core.order import Draft
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.model.errors import Refused
from kazoo_tasks.model.outcome import Succeeded
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.store.memory import MemoryJournal
from kazoo_tasks.store.sqlite import SqliteJournal
from support.core import STOPPED, HandClock, HandPool, Office

_TESTS: Final = Path(__file__).resolve().parents[1]
Command = dict[str, Any]


class Owner:
    """The process from outside; there is one at a time for a data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Start it, and wait until it has loaded."""
        path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.fault_handlers", str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._read() == "ready"

    def ask(self, command: Command) -> Any:
        """Have a command carried out, and give the answer."""
        self.tell(command)
        return self._read()

    def tell(self, command: Command) -> None:
        """Have a command carried out, without waiting."""
        assert self._process.stdin
        self._process.stdin.write(f"{json.dumps(command)}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it without a word."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout
        for line in self._process.stdout:
            # The store logs to the same place.
            if line.startswith("> "):
                return json.loads(line[2:])
        raise AssertionError("expected an answer, got the end")


class _ObedientPool(HandPool):
    """A pool that ends a run as soon as it is asked to."""

    @override
    def stop(self, task_id: str) -> None:
        asyncio.get_running_loop().call_soon(self.end, task_id, STOPPED)


class _Owned:
    """The handlers inside, and their verbs."""

    def __init__(self, data_dir: Path) -> None:
        journal = SqliteJournal(data_dir, HandClock())
        self._office = Office(cast("MemoryJournal", journal))  # it stands for any journal there
        self._office.pool = pool = _ObedientPool()
        self._office.runner._pool = self._office.runner.scheduler.pool = pool

    async def open(self) -> None:
        """Load and recover, as the service does."""
        office = await self._office.open()
        registry, catalogue = office.ledger.registry, office.catalogue
        changes = list(settle(registry, catalogue, office.ledger.now()))
        if changes:
            await office.ledger.commit(changes)
        resume(registry, catalogue, office.runner.scheduler)
        office.runner.idle()
        await office.settled()

    async def carry_out(self, command: Command) -> Any:
        """Do it, and say what came of it."""
        try:
            answer = await self._verb(**command)
        except Refused as refusal:
            answer = refusal.reply
        await self._office.settled()
        return answer

    async def _verb(self, verb: str, msg_id: str = "", target: str = "") -> Any:
        office = self._office
        match verb:
            case "add":
                module, _, function = target.partition(".")
                arguments = [1] if function == "sleep" else []
                return await office.add(Draft(module, function, arguments), msg_id=msg_id)
            case "start":
                return await office.start(target, msg_id)
            case "stop":
                return await office.stop(target, msg_id)
            case "remove":
                return await office.remove(target, msg_id)
            case "end":
                return self._end(target)
        return {task.id: _seen(task) for task in office.ledger.registry}

    def _end(self, task_id: str) -> bool:
        runs = task_id in self._office.pool.running
        if runs:
            self._office.pool.end(task_id, Succeeded(b'"done"'))
        return runs


def _seen(task: Task) -> str:
    """Where it is in its life: a word, with the class of its failure."""
    if task.is_active:
        return "active"
    if task.status is Status.FAILURE:
        return (task.error or "").partition(": ")[0].split()[-1]
    return task.status.value


async def main(data_dir: Path) -> None:
    """Carry out what comes in, one after the other, until killed."""
    owned = _Owned(data_dir)
    await owned.open()
    _say("ready")
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _say(await owned.carry_out(json.loads(line)))


def _say(value: Any) -> None:
    sys.stdout.write(f"> {json.dumps(value)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
