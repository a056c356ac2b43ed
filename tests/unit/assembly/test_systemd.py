"""What systemd is told, if it wants to hear anything."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kazoo_tasks.assembly.systemd import Notifier
from kazoo_tasks.settings import Supervisor, load_supervisor


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket as systemd opens it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_a_state_is_told_to_the_socket(ear: socket.socket) -> None:
    """As one datagram."""
    Notifier(Supervisor(ear.getsockname())).tell("READY=1")

    assert ear.recv(100) == b"READY=1"


def test_an_abstract_socket_is_found_too() -> None:
    """Its name begins with a zero byte, written as @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0kazoo-tasks-test-{os.getpid()}")
        Notifier(Supervisor(f"@kazoo-tasks-test-{os.getpid()}")).tell("STOPPING=1")

        assert ear.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("why", ["gone", "full"])
def test_a_systemd_that_does_not_listen_is_no_reason_to_fail(
    ear: socket.socket, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor to wait for it; the log says so once, and again when it has listened in between."""
    notifier = Notifier(Supervisor(ear.getsockname()))
    if why == "gone":
        Path(ear.getsockname()).unlink()
    for _ in range(3 if why == "gone" else 1_000):
        notifier.tell("WATCHDOG=1")
        if notifier._deaf:
            break
    notifier.tell("WATCHDOG=1")

    assert capsys.readouterr().out.count("systemd.deaf") == 1


async def test_without_systemd_nothing_is_told() -> None:
    """And nothing fails."""
    notifier = Notifier(Supervisor())
    notifier.tell("READY=1")
    await notifier.live()


async def test_life_is_told_twice_as_often_as_needed(ear: socket.socket) -> None:
    """As long as the event loop turns."""
    alive = asyncio.ensure_future(Notifier(Supervisor(ear.getsockname(), watchdog_s=0.002)).live())
    heard = [await asyncio.to_thread(ear.recv, 100) for _ in range(3)]
    alive.cancel()

    assert heard == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Supervisor()),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000"}, Supervisor("/run/x", 3.0)),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, Supervisor()),
        ({"WATCHDOG_USEC": "soon"}, Supervisor()),
    ],
)
def test_the_environment_tells_what_systemd_wants(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: Supervisor
) -> None:
    """A time that is meant for another process is not ours."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert load_supervisor() == expected
