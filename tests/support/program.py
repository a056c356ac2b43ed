"""The real program as a process: started, watched through its log, signalled and killed.

Touches processes and files; used by the tests that see kazoo-tasks from outside.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kazoo_tasks.settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_TOKEN, PREFIX

#: Generous, since two cores also run a broker; nothing waits for it in vain.
PATIENCE_S = 30.0


class Program:
    """One run of `kazoo-tasks`, with its log as it grows."""

    def __init__(self, process: Process) -> None:
        """Read its log from now on."""
        self._process = process
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())
        self.log: list[dict[str, Any]] = []
        #: What it wrote to stderr that was no log line.
        self.said: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def logged(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until it has logged an event so many times, and give the last one."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            while True:
                found = [line for line in self.log if line.get("event") == event]
                if len(found) >= count:
                    return found[count - 1]
                if self._reader.done():
                    raise AssertionError(f"expected {event}, got the end: {self.said or self.log[-3:]}")
                await self._news.wait()

    async def port(self) -> int:
        """Where its gateway listens."""
        port: int = (await self.logged("gateway.listening"))["port"]
        return port

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it is gone, and give its exit code."""
        async with asyncio.timeout(PATIENCE_S):
            code = await self._process.wait()
            await self._reader
        return code

    async def stop(self) -> int:
        """Ask it to end, and wait for that."""
        if self._process.returncode is None:
            self.signal()
        return await self.ended()

    async def kill(self) -> int:
        """End it without a word."""
        self.signal(signal.SIGKILL)
        return await self.ended()

    async def _read(self) -> None:
        assert self._process.stderr
        while line := await self._process.stderr.readline():
            async with self._news:
                self._take(line.decode())
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    def _take(self, line: str) -> None:
        try:
            self.log.append(json.loads(line))
        except ValueError:
            self.said.append(line)


async def start(
    *arguments: str,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = DEVNULL,
) -> Program:
    """Start `kazoo-tasks` with these arguments, and no settings but these; without a terminal unless given one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kazoo_tasks",
        *arguments,
        stdin=stdin,
        stderr=PIPE,
        env={**clean, **(environment or {})},
        cwd=cwd,
        limit=2**24,
    )
    return Program(process)


def settings(amqp_url: str, data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a development set-up on a free port, with two slots."""
    given = {
        "amqp_url": amqp_url,
        "data_dir": str(data_dir),
        "http_port": "0",
        "health_port": "0",
        "pool_size": "2",
        "development": "true",
        **more,
    }
    return {f"{PREFIX}{name.upper()}": value for name, value in given.items()}


@asynccontextmanager
async def running(*arguments: str, environment: dict[str, str]) -> AsyncIterator[Program]:
    """A program that is ready, and is stopped afterwards if it still runs."""
    program = await start(*arguments, environment=environment)
    try:
        await program.logged("bus.connected" if arguments[0] == "gateway" else "service.ready")
        yield program
    finally:
        await program.stop()


__all__ = ["DEVELOPMENT_ACCOUNT", "DEVELOPMENT_TOKEN", "Program", "running", "settings", "start"]
